package interop;

import com.fasterxml.jackson.databind.JsonNode;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.context.event.ApplicationReadyEvent;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.event.EventListener;
import org.springframework.kafka.config.KafkaListenerEndpointRegistry;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.stereotype.Component;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Runs the commands of standard input, and ends the service when that is closed. */
@Component
class Commands {

    private final ConfigurableApplicationContext context;
    private final KafkaListenerEndpointRegistry listeners;

    Commands(ConfigurableApplicationContext context, KafkaListenerEndpointRegistry listeners) {
        this.context = context;
        this.listeners = listeners;
    }

    @EventListener(ApplicationReadyEvent.class)
    void begin() throws InterruptedException {
        while (!listeners.getListenerContainers().stream().allMatch(
                each -> each.getAssignedPartitions() != null && !each.getAssignedPartitions().isEmpty())) {
            Thread.sleep(20);
        }
        for (ReplyingKafkaTemplate<?, ?, ?> each : context.getBeansOfType(ReplyingKafkaTemplate.class).values()) {
            if (!each.waitForAssignment(Duration.ofSeconds(30))) {
                throw new IllegalStateException("no reply partition was assigned in 30 s");
            }
        }
        new Thread(this::read, "commands").start();
        Output.write(Map.of("event", "ready"));
    }

    private void read() {
        ExecutorService workers = Executors.newCachedThreadPool();
        try (var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line; (line = lines.readLine()) != null; ) {
                JsonNode command = Output.JSON.readTree(line);
                workers.submit(() -> run(command));
            }
        } catch (IOException error) {
            error.printStackTrace();
        }
        workers.shutdownNow();
        System.exit(SpringApplication.exit(context));
    }

    private void run(JsonNode command) {
        int id = command.get("id").asInt();
        try {
            Object result = context.getBean(command.get("do").asText(), Command.class).run(command);
            Output.write(Map.of("id", id, "result", result));
        } catch (Exception error) {
            Output.write(Map.of("id", id, "error", error.toString()));
        }
    }
}
