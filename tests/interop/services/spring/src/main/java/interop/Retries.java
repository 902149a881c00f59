package interop;

import com.fasterxml.jackson.databind.JsonNode;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;
import org.springframework.boot.autoconfigure.kafka.KafkaProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Primary;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.annotation.DltHandler;
import org.springframework.kafka.annotation.EnableKafkaRetryTopic;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.annotation.RetryableTopic;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.retrytopic.TopicSuffixingStrategy;
import org.springframework.kafka.support.serializer.DelegatingByTypeSerializer;
import org.springframework.kafka.support.serializer.ErrorHandlingDeserializer;
import org.springframework.kafka.support.serializer.JsonDeserializer;
import org.springframework.kafka.support.serializer.JsonSerializer;
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
        handle("retried", record, attempt(record));
    }

    /** With a fixed delay all attempts go through one topic. */
    @RetryableTopic(attempts = "3", backoff = @Backoff(delay = 300), numPartitions = "3")
    @KafkaListener(topics = "${interop.prefix}-single", groupId = "${interop.prefix}-single")
    void single(ConsumerRecord<String, String> record) {
        handle("single", record, attempt(record));
    }

    @RetryableTopic(attempts = "3", backoff = @Backoff(delay = 300, multiplier = 2), numPartitions = "3",
            topicSuffixingStrategy = TopicSuffixingStrategy.SUFFIX_WITH_INDEX_VALUE)
    @KafkaListener(topics = "${interop.prefix}-indexed", groupId = "${interop.prefix}-indexed")
    void indexed(ConsumerRecord<String, String> record) {
        handle("indexed", record, attempt(record));
    }

    @DltHandler
    void dead(ConsumerRecord<?, ?> record) {
        report("dead", record, 0, false);
    }

    /** Keys are numbers and values prices: what is neither is not tried, and a dead letter at once. */
    @RetryableTopic(attempts = "2", kafkaTemplate = "anyTemplate", numPartitions = "3")
    @KafkaListener(topics = "${interop.prefix}-parsed", groupId = "${interop.prefix}-parsed",
            containerFactory = "parsing")
    void parsed(Price price) {
        Output.write(Map.of("event", "parsed", "item", price.item()));
    }

    @Bean
    static ConcurrentKafkaListenerContainerFactory<Long, Price> parsing(KafkaProperties properties) {
        var factory = new ConcurrentKafkaListenerContainerFactory<Long, Price>();
        factory.setConsumerFactory(new DefaultKafkaConsumerFactory<>(properties.buildConsumerProperties(null),
                new ErrorHandlingDeserializer<>(new LongDeserializer()),
                new ErrorHandlingDeserializer<>(new JsonDeserializer<>(Price.class, false))));
        return factory;
    }

    /** Sends what was parsed as well as the bytes of what was not. */
    @Bean
    static KafkaTemplate<Object, Object> anyTemplate(KafkaProperties properties) {
        return new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(properties.buildProducerProperties(null),
                new DelegatingByTypeSerializer(Map.of(Long.class, new LongSerializer(),
                        byte[].class, new ByteArraySerializer())),
                new DelegatingByTypeSerializer(Map.of(Price.class, new JsonSerializer<Price>().noTypeInfo(),
                        byte[].class, new ByteArraySerializer()))));
    }

    /** Boot makes none where a program has another one. */
    @Bean
    @Primary
    static KafkaTemplate<String, String> template(ProducerFactory<String, String> producers) {
        return new KafkaTemplate<>(producers);
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

    private static int attempt(ConsumerRecord<?, ?> record) {
        Header attempts = record.headers().lastHeader("retry_topic-attempts");
        return attempts == null ? 1 : ByteBuffer.wrap(attempts.value()).getInt();
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

    private static void report(String listener, ConsumerRecord<?, ?> record, int attempt, boolean fails) {
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
