package interop;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.common.header.Headers;

import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** Writes what the harness reads: one JSON object a line. */
final class Output {

    static final ObjectMapper JSON = new ObjectMapper();

    private Output() {
    }

    static void write(Map<String, ?> fields) {
        try {
            String line = JSON.writeValueAsString(fields);
            synchronized (Output.class) {
                System.out.println(line);
            }
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Names and values in order, the values as Base64. */
    static List<List<String>> headers(Headers headers) {
        List<List<String>> all = new ArrayList<>();
        headers.forEach(header -> all.add(List.of(header.key(),
                Base64.getEncoder().encodeToString(header.value() == null ? new byte[0] : header.value()))));
        return all;
    }
}
