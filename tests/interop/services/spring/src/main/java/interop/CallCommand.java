package interop;

import com.fasterxml.jackson.databind.JsonNode;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.requestreply.KafkaReplyTimeoutException;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.support.KafkaHeaders;
import org.springframework.stereotype.Component;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** Makes calls, all at once, and returns what became of each. */
@Component("call")
@Profile("requester")
class CallCommand implements Command {

    private final Map<String, ReplyingKafkaTemplate<String, Object, Object>> templates;

    CallCommand(Map<String, ReplyingKafkaTemplate<String, Object, Object>> templates) {
        this.templates = templates;
    }

    @Override
    public Object run(JsonNode arguments) {
        var template = templates.get(arguments.get("template").asText());
        Duration patience = Duration.ofMillis((long) (arguments.get("timeout_s").asDouble() * 1000));
        List<CompletableFuture<Map<String, Object>>> outcomes = new ArrayList<>();
        for (JsonNode value : arguments.get("values")) {
            outcomes.add(template.sendAndReceive(request(arguments, value), patience).handle(this::outcome));
        }
        return outcomes.stream().map(CompletableFuture::join).toList();
    }

    private ProducerRecord<String, Object> request(JsonNode arguments, JsonNode value) {
        String key = arguments.hasNonNull("key") ? arguments.get("key").asText() : null;
        Object payload = value.isObject() ? Output.JSON.convertValue(value, Price.class) : value.asText();
        var request = new ProducerRecord<String, Object>(arguments.get("topic").asText(), key, payload);
        if (arguments.hasNonNull("reply_partition")) {
            request.headers().add(KafkaHeaders.REPLY_PARTITION,
                    ByteBuffer.allocate(4).putInt(arguments.get("reply_partition").asInt()).array());
        }
        return request;
    }

    private Map<String, Object> outcome(ConsumerRecord<String, Object> reply, Throwable error) {
        Map<String, Object> outcome = new HashMap<>();
        if (error == null) {
            outcome.put("kind", "reply");
            outcome.put("value", reply.value());
            outcome.put("class", reply.value() == null ? null : reply.value().getClass().getName());
            outcome.put("key", reply.key());
            outcome.put("partition", reply.partition());
            outcome.put("headers", Output.headers(reply.headers()));
            return outcome;
        }
        Throwable cause = error.getCause() == null ? error : error.getCause();
        outcome.put("kind", cause instanceof Requester.RemoteError ? "error"
                : cause instanceof KafkaReplyTimeoutException ? "timeout" : "failure");
        outcome.put("text", cause.getMessage());
        return outcome;
    }
}
