"""The consumer that reads at present, for everybody who needs it across restarts."""

from collections.abc import Generator
from contextlib import contextmanager

from sdml_kafka.transport.interfaces.consumer import Consumer


class CurrentConsumer:
    """Holds the consumer of the consumer loop's present life, and None between two lives."""

    def __init__(self) -> None:
        self.consumer: Consumer | None = None

    @contextmanager
    def set_to(self, consumer: Consumer) -> Generator[None]:
        """Hold `consumer` inside the context. For the consumer loop alone."""
        self.consumer = consumer
        try:
            yield
        finally:
            self.consumer = None

    def nudge(self) -> None:
        """Let a poll that waits begin anew, since other partitions may be read now."""
        if self.consumer is not None:
            self.consumer.nudge()
