"""The troubles of a consumer that may last for a while, and their lines in the log."""

from logging import Logger

from sdml_kafka.rate_limited_log import TroubleLog
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.partition_names import brokers, offsets, partitions, topics

OUTAGE_PATIENCE_S = 1.0
"""Seconds that there may be no connection: brokers close idle ones, and are restarted in turn."""
NODE_PATIENCE_S = 3.0
"""Seconds that one of several brokers may be away: it takes a moment to know that all are."""
STUCK_S = 60.0
"""Seconds that nothing may finish in a partition that has records to finish."""


def outage_log(log: Logger, consequence: str) -> TroubleLog[None]:
    """Return what logs that no broker can be reached, and that one can again."""
    return TroubleLog[None](
        log,
        lambda keys: "",
        f"no broker can be reached, so {consequence} until one can: {{why}}",
        "a broker can be reached again, after {seconds} s",
        OUTAGE_PATIENCE_S,
    )


def node_log(log: Logger) -> TroubleLog[str]:
    """Return what logs that one of several brokers cannot be reached."""
    return TroubleLog[str](
        log,
        brokers,
        "broker {names} cannot be reached, others can: {why}",
        "broker {names} can be reached again, or is not needed any more",
        NODE_PATIENCE_S,
    )


def missing_log(log: Logger) -> TroubleLog[str]:
    """Return what logs that topics do not exist."""
    return TroubleLog[str](
        log,
        topics,
        "topic {names} does not exist; it is read as soon as it does{why}",
        "topic {names} exists now",
    )


def held_log(log: Logger) -> TroubleLog[TopicPartition]:
    """Return what logs that partitions hold batches that do not decode."""
    return TroubleLog[TopicPartition](
        log,
        partitions,
        "{names} cannot be read on, and nothing behind it is delivered: {why}",
        "{names} is read on, after {seconds} s",
    )


def stuck_log(log: Logger) -> TroubleLog[tuple[TopicPartition, int]]:
    """Return what logs that the program has had records in hand for long."""
    return TroubleLog[tuple[TopicPartition, int]](
        log,
        offsets,
        f"the program has had {{names}} in hand for {STUCK_S:g} s, and nothing behind that is "
        "committed: does the work on it have a time-out?",
        "{names} has finished, or was given back, after {seconds} s",
        STUCK_S,
    )


def unread_log(log: Logger) -> TroubleLog[tuple[TopicPartition, int]]:
    """Return what logs that records have waited in a stream for long."""
    return TroubleLog[tuple[TopicPartition, int]](
        log,
        offsets,
        f"{{names}} has waited for {STUCK_S:g} s for a loop to take it, and nothing behind "
        "that is committed: is the stream read on, and fast enough?",
        "{names} was taken, after {seconds} s",
        STUCK_S,
    )
