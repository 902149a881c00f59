"""Check a topic's settings before a broker sees them. Pure."""

from collections.abc import Mapping
from difflib import get_close_matches

from sdml_kafka.errors import ConfigurationError

TopicSettings = Mapping[str, str | int | float | bool]
"""Settings of a topic by Kafka's own names, such as `{"max.message.bytes": 8_000_000}`."""

_KNOWN = [
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
]
_NUMBERS = (".bytes", ".ms", "min.insync.replicas", "flush.messages")


def is_setting(name: str) -> bool:
    """Return whether a Kafka of today has this setting for topics."""
    return name in _KNOWN


def as_texts(option: str, settings: TopicSettings) -> dict[str, str]:
    """Return the settings as a broker takes them.

    A name that is unknown here may be known to a newer broker, unless it looks misspelt.

    Args:
        option: The name of the option that holds the settings, for errors.
        settings: What a program has given for the option.

    Raises:
        ConfigurationError: A name or a value cannot be right.
    """
    if not isinstance(settings, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"{option} is a mapping of Kafka's names of topic settings to their values, such as "
            "{'max.message.bytes': 8_000_000}"
        )
    return {_name(option, name): _text(option, name, value) for name, value in settings.items()}


def _name(option: str, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{option}: a topic's setting has a name, not {name!r:.300}")
    if name not in _KNOWN and (near := get_close_matches(name, _KNOWN, n=1, cutoff=0.85)):
        raise ConfigurationError(
            f"{option}: topics have no setting {name!r:.300}. Did you mean {near[0]!r}?"
        )
    return name


def _text(option: str, name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise ConfigurationError(
            f"{option}: {name!r} is a text, a number or a bool, not {type(value).__name__}"
        )
    text = str(value)
    if name in _KNOWN and name.endswith(_NUMBERS) and not text.removeprefix("-").isdecimal():
        raise ConfigurationError(f"{option}: {name!r} is a whole number, not {value!r:.300}")
    return text
