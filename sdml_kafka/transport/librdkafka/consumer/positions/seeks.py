"""Find where a seek is to go, and check that its partitions may be moved."""

from collections.abc import Collection, Mapping
from datetime import datetime
from time import monotonic

from confluent_kafka import KafkaException

from sdml_kafka.errors import SeekFailed
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.consumer.lookups import END, FIRST, error_of
from sdml_kafka.transport.librdkafka.consumer.member import Member
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.rules.seek_rules import within_logs


class Seeks:
    """The seeks of one consumer, up to the fetching."""

    def __init__(self, member: Member, exchange: Exchange) -> None:
        self._member = member
        self._exchange = exchange

    def look_up(
        self,
        epoch: int,
        targets: Mapping[TopicPartition, Target],
        deadline: float,
        *,
        within_log: bool,
    ) -> Mapping[TopicPartition, int] | None:
        """Return the offset that each target stands for, None if some are to be asked for again.

        Runs in the member's thread.

        Raises:
            SeekFailed: A partition is not assigned, or no broker has answered in time.
            OffsetBeyondEnd: An offset lies beyond the end of its log.
        """
        self.check(epoch, targets)
        found, times = dict[TopicPartition, int](), dict[TopicPartition, int]()
        for key, target in targets.items():
            if not isinstance(target, int):
                times[key] = _time_of(target)
            elif within_log:
                times[key] = END
            else:
                found[key] = target
        lookups = self._member.lookups
        try:
            if times:
                found |= lookups.offsets(times)
                if late := [key for key, offset in found.items() if offset < 0]:
                    found |= lookups.offsets(dict.fromkeys(late, END))
        except KafkaException as error:
            if error_mapping.is_authorization(error_of(error)):
                raise error_mapping.may_not_read(error_of(error)) from error
        if len(found) == len(targets):
            return within_logs(targets, found) if within_log else found
        if monotonic() >= deadline:
            (topic, number), *_ = targets.keys() - found.keys()
            raise SeekFailed(
                f"No broker has said in time where to begin in {topic!r} partition {number}. "
                "Try again."
            )
        return None

    def check(self, epoch: int, keys: Collection[TopicPartition]) -> None:
        """Raise SeekFailed unless all are assigned and read; callable in both threads."""
        epochs, partitions = self._member.assignments.epochs, self._exchange.partitions
        for key in keys:
            fetched = partitions.get(key)
            is_over = fetched is None or fetched.is_withheld
            if is_over or epochs.get(key, epoch + 1) > epoch:
                raise SeekFailed(
                    "The partitions are being revoked: seek once they are assigned again"
                )


def _time_of(target: str | datetime) -> int:
    if isinstance(target, datetime):
        return max(0, int(target.timestamp() * 1000))
    return FIRST if target == "earliest" else END
