package interop;

import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.kafka.KafkaProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.support.TopicPartitionOffset;
import org.springframework.kafka.support.TopicPartitionOffset.SeekPosition;
import org.springframework.kafka.support.serializer.JsonDeserializer;
import org.springframework.kafka.support.serializer.JsonSerializer;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.UUID;

/** The ways in which programs set up a ReplyingKafkaTemplate; those of text share one reply topic. */
@Configuration
@Profile("requester")
class Requester {

    static final int PINNED_PARTITION = 1;

    private final KafkaProperties properties;
    private final String replies;

    Requester(KafkaProperties properties, @Value("${interop.prefix}-replies") String replies) {
        this.properties = properties;
        this.replies = replies;
    }

    /** As the reference manual recommends: a shared reply topic, and a group of its own. */
    @Bean
    ReplyingKafkaTemplate<String, Object, Object> shared() {
        return template(new StringSerializer(), new StringDeserializer(), new ContainerProperties(replies));
    }

    /** Its ids are text. */
    @Bean
    ReplyingKafkaTemplate<String, Object, Object> text() {
        var template = template(new StringSerializer(), new StringDeserializer(), new ContainerProperties(replies));
        template.setBinaryCorrelation(false);
        return template;
    }

    /** It reads one partition of the replies, and says so in its requests. */
    @Bean
    ReplyingKafkaTemplate<String, Object, Object> pinned() {
        return template(new StringSerializer(), new StringDeserializer(), new ContainerProperties(
                new TopicPartitionOffset(replies, PINNED_PARTITION, SeekPosition.END)));
    }

    /** Its values are objects, and replies have to say of which class they are; others would stop its reader. */
    @Bean
    ReplyingKafkaTemplate<String, Object, Object> json() {
        var deserializer = new JsonDeserializer<Object>();
        deserializer.addTrustedPackages("interop");
        return template(new JsonSerializer<>(), deserializer, new ContainerProperties(replies + "-json"));
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private ReplyingKafkaTemplate<String, Object, Object> template(org.apache.kafka.common.serialization.Serializer values,
            org.apache.kafka.common.serialization.Deserializer replyValues, ContainerProperties container) {
        container.setGroupId("interop-requester-" + UUID.randomUUID());
        Map<String, Object> consumer = properties.buildConsumerProperties(null);
        consumer.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "latest");
        Map<String, Object> producer = properties.buildProducerProperties(null);
        producer.put(ProducerConfig.LINGER_MS_CONFIG, 0);
        ProducerFactory<String, Object> producers =
                new DefaultKafkaProducerFactory<>(producer, new StringSerializer(), values);
        var template = new ReplyingKafkaTemplate<String, Object, Object>(producers, new KafkaMessageListenerContainer<>(
                new DefaultKafkaConsumerFactory<>(consumer, new StringDeserializer(), replyValues), container));
        template.setSharedReplyTopic(true);
        template.setReplyErrorChecker(reply -> {
            Header error = reply.headers().lastHeader("serverSentAnError");
            return error == null ? null : new RemoteError(new String(error.value(), StandardCharsets.UTF_8));
        });
        return template;
    }

    static class RemoteError extends RuntimeException {
        RemoteError(String message) {
            super(message);
        }
    }
}
