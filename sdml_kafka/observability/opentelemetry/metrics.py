"""The metrics of the conventions, recorded where the durations and counts are known."""

from collections.abc import Mapping, Sequence

from opentelemetry.metrics import Counter, Histogram, Meter

from sdml_kafka.observability.opentelemetry.names import ERROR_TYPE, Attributes, Value

SECONDS: Sequence[float] = [
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
]
"""The bounds that the conventions recommend."""


class Metrics:
    """The instruments, which the parts record with."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, description: str) -> Histogram:
            return meter.create_histogram(
                name, "s", description, explicit_bucket_boundaries_advisory=SECONDS
            )

        self.operation: Histogram = seconds(
            "messaging.client.operation.duration", "Duration of sending or committing."
        )
        self.process: Histogram = seconds(
            "messaging.process.duration", "Duration of an attempt of a handler."
        )
        self.client_call: Histogram = seconds(
            "rpc.client.call.duration", "Duration of a call, as its caller sees it."
        )
        self.server_call: Histogram = seconds(
            "rpc.server.call.duration", "Duration of the handling of a request."
        )
        self.sent: Counter = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Messages that were sent, or failed."
        )
        self.consumed: Counter = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Messages that were delivered."
        )


def with_error(attributes: Attributes, type_: str | None) -> Mapping[str, Value]:
    """Return the attributes of what has failed with this type of an error; None is no error."""
    return attributes if type_ is None else {**attributes, ERROR_TYPE: type_}
