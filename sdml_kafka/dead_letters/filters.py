"""Which dead letters are meant. Pure."""

import hashlib
import json

from attrs import frozen

from sdml_kafka.dead_letters.letter import Letter


@frozen
class Filters:
    """The conditions that a dead letter has to meet; one that is empty or None admits all."""

    partitions: frozenset[int] = frozenset()
    """The numbers of partitions of the topic of dead letters."""
    from_topics: frozenset[str] = frozenset()
    """The topics that the records came from."""
    exceptions: frozenset[str] = frozenset()
    """The names of exceptions, with or without what is before the last dot."""
    since_ms: int | None = None
    """The earliest time of a dead letter, in milliseconds since the epoch."""
    until_ms: int | None = None
    """The time before which a dead letter was written, in milliseconds since the epoch."""

    def admit(self, letter: Letter) -> bool:
        """Return whether the dead letter is meant."""
        record, origin = letter.record, letter.origin
        return (
            (not self.partitions or record.partition in self.partitions)
            and (not self.from_topics or (origin is not None and origin.topic in self.from_topics))
            and (not self.exceptions or not self.exceptions.isdisjoint(_names(letter)))
            and (self.since_ms is None or record.timestamp >= self.since_ms)
            and (self.until_ms is None or record.timestamp < self.until_ms)
        )

    def group_for(self, topic: str, to: str | None) -> str:
        """Return the name of the group that remembers what was sent anew from this topic."""
        what = [
            sorted(self.partitions),
            sorted(self.from_topics),
            sorted(self.exceptions),
            self.since_ms,
            self.until_ms,
            to,
        ]
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()
        return f"sdml-kafka-replay-{topic}-{digest[:12]}"


def _names(letter: Letter) -> set[str]:
    names = {name for name in (letter.exception, letter.cause) if name is not None}
    return names | {name.rpartition(".")[2] for name in names}
