package interop;

import com.fasterxml.jackson.databind.JsonNode;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.annotation.DltHandler;
import org.springframework.kafka.annotation.EnableKafkaRetryTopic;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.annotation.RetryableTopic;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.retry.annotation.Backoff;
import org.springframework.scheduling.TaskScheduler;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.util.backoff.FixedBackOff;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Listeners that fail as their records say: the value "order-1 fails 1,2" fails the first attempt and the second one.
 * After the command "mend" nothing fails any more.
 */
@Configuration
@Profile("retries")
@EnableKafkaRetryTopic
class Retries {

    private volatile boolean isMended;

    @RetryableTopic(attempts = "3", backoff = @Backoff(delay = 300, multiplier = 2), numPartitions = "3")
    @KafkaListener(topics = "${interop.prefix}-retried", groupId = "${interop.prefix}-retried")
    void retried(ConsumerRecord<String, String> record) {
        Header attempts = record.headers().lastHeader("retry_topic-attempts");
        handle("retried", record, attempts == null ? 1 : ByteBuffer.wrap(attempts.value()).getInt());
    }

    @DltHandler
    void dead(ConsumerRecord<String, String> record) {
        report("dead", record, 0, false);
    }

    /** Tried three times in place, and then a dead letter. */
    @KafkaListener(topics = "${interop.prefix}-recovered", groupId = "${interop.prefix}-recovered",
            containerFactory = "recovering")
    void recovered(ConsumerRecord<String, String> record) {
        handle("recovered", record, 1);
    }

    @Bean
    static ConcurrentKafkaListenerContainerFactory<String, String> recovering(ConsumerFactory<String, String> consumers,
            KafkaTemplate<String, String> template) {
        var factory = new ConcurrentKafkaListenerContainerFactory<String, String>();
        factory.setConsumerFactory(consumers);
        factory.setCommonErrorHandler(
                new DefaultErrorHandler(new DeadLetterPublishingRecoverer(template), new FixedBackOff(0, 2)));
        return factory;
    }

    @Bean
    static TaskScheduler scheduler() {
        return new ThreadPoolTaskScheduler();
    }

    @Bean
    Command mend() {
        return (JsonNode arguments) -> {
            isMended = arguments.get("is_mended").asBoolean();
            return isMended;
        };
    }

    private void handle(String listener, ConsumerRecord<String, String> record, int attempt) {
        String[] parts = record.value().split(" fails ");
        boolean fails = !isMended && parts.length == 2
                && Arrays.asList(parts[1].split(",")).contains(Integer.toString(attempt));
        report(listener, record, attempt, fails);
        if (fails) {
            throw new IllegalStateException(parts[0] + " cannot be done");
        }
    }

    private static void report(String listener, ConsumerRecord<String, String> record, int attempt, boolean fails) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("event", "handled");
        fields.put("listener", listener);
        fields.put("topic", record.topic());
        fields.put("partition", record.partition());
        fields.put("offset", record.offset());
        fields.put("key", record.key());
        fields.put("value", record.value());
        fields.put("attempt", attempt);
        fields.put("fails", fails);
        fields.put("at_ms", System.currentTimeMillis());
        fields.put("headers", Output.headers(record.headers()));
        Output.write(fields);
    }
}
