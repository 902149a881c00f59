"""The ends of its partitions, as a consumer of the in-memory broker knows them."""

from collections.abc import Collection, Mapping

from sdml_kafka.testing.memory.member import Member
from sdml_kafka.testing.memory.state import State, now
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import End

RECENT_S = 5.0
"""Seconds after which an end is no longer recent, and between two requests for ends."""


class KnownEnds:
    """The ends that assignments and fetches bring, and requests for what is not fetched."""

    def __init__(self, state: State, member: Member) -> None:
        self._state = state
        self._member = member
        self._known: dict[TopicPartition, tuple[int, float]] = {}
        """The end of each partition as it was last learnt, and when."""
        self._ask_at = 0.0

    def learn(self, partitions: Collection[TopicPartition]) -> None:
        """Learn where these partitions end at this moment."""
        logs, time = self._state.logs, now()
        self._known.update(
            (each, (logs[each].stable_end, time)) for each in partitions if each in logs
        )

    def look(self, ready: Collection[TopicPartition]) -> Mapping[TopicPartition, End]:
        """Return what is known by now, if a client fetches the `ready` partitions.

        What cannot be read on is not fetched either. For a tail nothing is asked.
        """
        member, faults, time = self._member, self._state.faults, now()
        own = member.partitions
        self._known = {each: known for each, known in self._known.items() if each in own}
        if not faults.down:
            fetched = own.intersection(TopicPartition(*each) for each in ready)
            self.learn(fetched - faults.spoiled.keys())
            old = [each for each in own if self._is_old(each, time)]
            if old and time >= self._ask_at and member.tail is None:
                self._ask_at = time + RECENT_S
                self.learn(old)
        return {each: End(end, time - at) for each, (end, at) in self._known.items()}

    def _is_old(self, partition: TopicPartition, time: float) -> bool:
        known = self._known.get(partition)
        return known is None or time - known[1] >= RECENT_S
