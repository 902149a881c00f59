"""Check the offsets that a program seeks. Pure; all that implement the port use it."""

from collections.abc import Mapping

from sdml_kafka.errors import OffsetBeyondEnd
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import TopicPartition


def within_logs(
    targets: Mapping[TopicPartition, Target], found: Mapping[TopicPartition, int]
) -> Mapping[TopicPartition, int]:
    """Return where each partition is read from.

    Args:
        targets: Where to read each partition from.
        found: The offset that each target stands for, or for an offset the end of the log.

    Raises:
        OffsetBeyondEnd: An offset lies beyond the end of its log.
    """
    positions = dict(found)
    for partition, target in targets.items():
        if isinstance(target, int):
            if target > (end := found[partition]):
                topic, number = partition
                raise OffsetBeyondEnd(
                    f"{topic!r} partition {number} ends at {end}, so there is no offset {target} "
                    "to read from. No partition was moved."
                )
            positions[partition] = target
    return positions
