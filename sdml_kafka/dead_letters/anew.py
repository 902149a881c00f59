"""Decides where a dead letter is sent, and what is sent. Pure."""

from sdml_kafka.dead_letters.letter import Letter
from sdml_kafka.listener.processing.policies import Send
from sdml_kafka.listener.processing.spring_headers import SHARE_GROUP_SET, without_failure
from sdml_kafka.transport.record_checks import is_topic_of_calls

MAX_AHEAD_MS = 3_600_000
"""Milliseconds that a record may be ahead of its dead letter: what Kafka's default for
`message.timestamp.after.max.ms` admits."""


class NoTarget(Exception):
    """A dead letter cannot be sent to where it came from; the text says why."""


def target_of(letter: Letter, to: str | None) -> str:
    """Return the topic to send to, `to` if that is given.

    The name comes out of a header that others can write, so it is checked.

    Raises:
        NoTarget: The headers name no topic that may be sent to, or there is nothing to send.
    """
    record = letter.record
    if record.key is record.value is None and any(
        name.startswith(SHARE_GROUP_SET) for name, _ in record.headers
    ):
        raise NoTarget("it holds no copy of the record")
    if to is not None:
        return to
    if letter.origin is None:
        raise NoTarget("its headers do not say where it came from")
    topic = letter.origin.topic
    if not is_topic_of_calls(topic):
        raise NoTarget(f"its headers name {topic[:100]!r}, which is no topic to send to")
    if topic == record.topic:
        raise NoTarget("its headers say that it came from the dead letters themselves")
    return topic


def record_for(
    letter: Letter, topic: str, *, same_partition: bool = False, new_time: bool = False
) -> Send:
    """Return the record as it was before it failed.

    Args:
        letter: The dead letter.
        topic: Where to send it.
        same_partition: Whether it goes to the number of the partition that it came from, if the
            headers say so; else the key decides.
        new_time: Whether it gets the time of sending, and not the time that it had.
    """
    record, origin = letter.record, letter.origin
    return Send(
        topic,
        record.value,
        key=record.key,
        headers=without_failure(record.headers),
        partition=origin.partition if same_partition and origin is not None else None,
        timestamp_ms=None if new_time else _came_ms(letter),
    )


def _came_ms(letter: Letter) -> int | None:
    """Return the time that the record had, None if nothing says so.

    Others can write the header, and brokers refuse records of the far future. So a time that is too
    long after that of the dead letter itself is not taken for the record's.
    """
    written_ms, origin = letter.record.timestamp, letter.origin
    if origin is not None and 0 < origin.timestamp_ms <= written_ms + MAX_AHEAD_MS:
        return origin.timestamp_ms
    return written_ms if written_ms >= 0 else None
