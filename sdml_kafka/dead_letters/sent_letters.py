"""Know which dead letters of a topic were sent anew, as a group's commits say. Pure.

Below a commit's offset all were sent. Those beyond it that were sent by themselves are in its
metadata, as the offset map of a listener is.
"""

from bisect import insort
from collections.abc import Mapping

from sdml_kafka.consuming.offsets.offset_map import (
    Interval,
    decode,
    encode,
    merged,
    outside,
    step_over,
)
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit


class SentLetters:
    """Knows what was sent, and what is to be committed with the next ones."""

    def __init__(self) -> None:
        self._offsets: dict[TopicPartition, int] = {}
        self._beyond: dict[TopicPartition, list[Interval]] = {}

    def remember(self, commits: Mapping[TopicPartition, Commit | None]) -> None:
        """Take what was committed for the place of what was known."""
        for place, commit in commits.items():
            if commit is not None:
                self._offsets[place] = commit.offset
                self._beyond[place] = decode(commit.offset, commit.metadata)

    def agrees(self, commits: Mapping[TopicPartition, Commit | None]) -> bool:
        """Return whether these commits say what is known already."""
        others = SentLetters()
        others.remember(commits)
        return (others._offsets, others._beyond) == (self._offsets, self._beyond)

    def has(self, place: TopicPartition, offset: int) -> bool:
        """Return whether the dead letter at the offset was sent."""
        beyond = self._beyond.get(place, [])
        return offset < self._offsets.get(place, 0) or not outside([offset], beyond)[0]

    def up_to(self, place: TopicPartition, offset: int) -> Commit:
        """Return the commit that says that all below the offset were sent, too."""
        beyond = self._beyond.get(place, [])
        base = step_over(offset, beyond)
        return Commit(base, encode(base, [each for each in beyond if each[0] > base]) or "")

    def with_one(self, place: TopicPartition, offset: int, first: int) -> Commit | None:
        """Return the commit that says that this one was sent by itself; None if there is no room.

        Args:
            place: The partition of the dead letters.
            offset: The offset of the dead letter, which was not sent before.
            first: The lowest offset that the partition has, for a group without a commit.
        """
        intervals = list(self._beyond.get(place, []))
        insort(intervals, (offset, offset + 1))
        intervals = merged(intervals)
        base = step_over(self._offsets.get(place, first), intervals)
        text = encode(base, [each for each in intervals if each[0] > base])
        return None if text is None else Commit(base, text)

    def note(self, place: TopicPartition, commit: Commit) -> None:
        """Note that this was committed."""
        self.remember({place: commit})
