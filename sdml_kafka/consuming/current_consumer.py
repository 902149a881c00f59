"""The consumer that reads at present, for everybody who needs it across restarts."""

from collections.abc import Generator
from contextlib import contextmanager

from sdml_kafka.transport.interfaces.consumer import Consumer
from sdml_kafka.transport.interfaces.reports import ConsumerSettings


class CurrentConsumer:
    """Holds the consumer of the consumer loop's present life, and None between two lives."""

    def __init__(self) -> None:
        self.consumer: Consumer | None = None
        self.settings: ConsumerSettings | None = None
        """The settings of the last consumer, None before the first one."""

    @contextmanager
    def set_to(self, consumer: Consumer) -> Generator[None]:
        """Hold `consumer` inside the context. For the consumer loop alone."""
        self.consumer, self.settings = consumer, consumer.settings
        try:
            yield
        finally:
            self.consumer = None

    def nudge(self) -> None:
        """Let a poll that waits begin anew, since other partitions may be read now."""
        if self.consumer is not None:
            self.consumer.nudge()
