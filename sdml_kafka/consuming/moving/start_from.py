"""Where a program lets its partitions begin, instead of where the client would."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import TopicPartition

Start = Literal["earliest", "latest"] | datetime | Mapping[TopicPartition, int]


@frozen
class StartFrom:
    """Where partitions begin that nothing is committed for, or all of them."""

    start: Start | None = None
    force: bool = False
    """True if what the group has committed does not count."""

    def __attrs_post_init__(self) -> None:
        if type(self.force) is not bool:
            raise ConfigurationError(f"force is True or False, not {self.force!r:.300}")
        if self.start is None:
            if self.force:
                raise ConfigurationError("force=True needs start_from=, where to begin")
        elif isinstance(self.start, Mapping):
            for key, offset in self.start.items():
                check_partition(key)
                if type(offset) is not int or offset < 0:
                    raise ConfigurationError(f"start_from: {offset!r:.300} is no offset of {key}")
        elif isinstance(self.start, int):
            raise ConfigurationError(
                "start_from: offsets are those of a partition: {TopicPartition(topic, 0): offset}"
            )
        else:
            check_target(self.start, "start_from")

    def target_of(self, partition: TopicPartition) -> Target | None:
        """Return where a partition begins, None if that is left to the client."""
        if isinstance(self.start, Mapping):
            return self.start.get(partition)
        return self.start


def check_target(target: object, name: str) -> None:
    """Raise a ConfigurationError if nothing can be read from there on."""
    if isinstance(target, datetime):
        if target.tzinfo is None:
            raise ConfigurationError(f"{name}: {target} has no time zone: give it one (tzinfo)")
    elif target not in ("earliest", "latest") and (type(target) is not int or target < 0):
        raise ConfigurationError(
            f"{name} is an offset, a datetime, 'earliest' or 'latest', not {target!r:.300}"
        )


def check_partition(partition: object) -> None:
    """Raise a ConfigurationError unless this names a partition."""
    match partition:
        case (str(), int(number)) if number >= 0 and isinstance(partition, tuple):
            return
        case _:
            pass
    raise ConfigurationError(f"A partition is TopicPartition(topic, 0), not {partition!r:.300}")
