package interop;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.listener.KafkaListenerErrorHandler;
import org.springframework.messaging.Message;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.messaging.support.MessageBuilder;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;

/** Listeners that answer: what they are sent in capitals, and what else Spring's listeners can return. */
@Configuration
@Profile("responder")
class Responder {

    private volatile double holdS;

    /** How long the value "held" is held from now on, until the process ends. */
    @Bean
    Command hold() {
        return arguments -> holdS = arguments.get("hold_s").asDouble();
    }

    /** Nothing about errors is configured: ten attempts, then the record is skipped, and no reply. */
    @KafkaListener(topics = "${interop.prefix}-plain", groupId = "${interop.prefix}-plain")
    @SendTo
    Object plain(ConsumerRecord<String, String> record) throws InterruptedException {
        String value = record.value();
        if (value == null) {
            return "NULL";
        }
        Output.write(Map.of("event", "began", "value", value, "headers", Output.headers(record.headers())));
        switch (value) {
            case "boom":
                throw new IllegalStateException("boom from spring");
            case "null":
                return null;
            case "list":
                return List.of("one", "two", "three");
            case "messages":
                return Stream.of("one", "two", "three").map(each -> MessageBuilder.withPayload(each).build()).toList();
            case "held":
                Thread.sleep((long) (holdS * 1000));
                break;
            default:
        }
        return value.toUpperCase(Locale.ROOT);
    }

    /** An error handler turns exceptions into replies with a header. */
    @KafkaListener(topics = "${interop.prefix}-errors", groupId = "${interop.prefix}-errors", errorHandler = "errorReply")
    @SendTo
    String errors(String value) {
        throw new IllegalStateException(value + " from spring");
    }

    /** The header's name is that of the example in the reference manual. */
    @Bean
    static KafkaListenerErrorHandler errorReply() {
        return (Message<?> message, org.springframework.kafka.listener.ListenerExecutionFailedException exception) ->
                MessageBuilder.withPayload("failed")
                        .setHeader("serverSentAnError", exception.getCause().getMessage().getBytes(StandardCharsets.UTF_8))
                        .build();
    }
}
