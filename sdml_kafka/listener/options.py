"""The options of a listener, checked once."""

from collections.abc import Sequence

from attrs import frozen

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.moving.start_from import StartFrom
from sdml_kafka.consuming.partitions import check_max_bytes
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.lifecycle import check_timeouts
from sdml_kafka.listener.batch_parser import OnParseError
from sdml_kafka.listener.processing.policies import DeadLetter
from sdml_kafka.listener.rebalance_callbacks import RebalanceCallbacks
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.producing.serializers import Serializers
from sdml_kafka.runtime import Restarts
from sdml_kafka.transport.connect import OnCorrupt, check_create_topics, skips_corrupt
from sdml_kafka.transport.interfaces.transports import ListenerTransport

DEFAULT_START = StartFrom()
"""The client decides."""


@frozen
class ReadOptions:
    """How much may be handed out and fetched, unfinished, and what is done about missing topics."""

    max_in_flight: int
    max_bytes: int
    create_topics: bool
    offset_map: bool = True
    on_corrupt: OnCorrupt = "hold"
    start_from: StartFrom = DEFAULT_START

    def __attrs_post_init__(self) -> None:
        if type(self.max_in_flight) is not int or self.max_in_flight < 1:
            raise ConfigurationError(f"max_in_flight is 1 or more, not {self.max_in_flight!r}")
        check_max_bytes(self.max_bytes)
        check_create_topics(self.create_topics)
        skips_corrupt(self.on_corrupt)
        if type(self.offset_map) is not bool:
            raise ConfigurationError(f"offset_map is True or False, not {self.offset_map!r:.300}")


@frozen
class Timeouts:
    """Seconds that starting, stopping and draining may take."""

    start_s: float
    stop_s: float
    drain_s: float

    def __attrs_post_init__(self) -> None:
        check_timeouts(self.start_s, self.stop_s, self.drain_s)


@frozen
class Settings:
    """All that a program has said of a listener, which its actors are built from."""

    reading: ReadOptions
    timeouts: Timeouts
    transport: ListenerTransport
    specs: Sequence[CompiledSpec]
    auto_commit: AutoCommit | None
    callbacks: RebalanceCallbacks
    hooks: Hooks
    on_parse_error: OnParseError | DeadLetter
    restarts: Restarts
    serializers: Serializers
