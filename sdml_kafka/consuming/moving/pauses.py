"""The partitions that a program has paused, whoever they are assigned to."""

from collections.abc import Container

from sdml_kafka.transport.interfaces.records import TopicPartition


class Pauses(Container[TopicPartition]):
    """The topics and partitions that were paused and not resumed: the later call decides."""

    def __init__(self) -> None:
        """Begin with nothing paused."""
        self._topics: set[str] = set()
        self._others: set[TopicPartition] = set()
        """The partitions that are not as their topics."""

    def __contains__(self, partition: object) -> bool:
        assert isinstance(partition, tuple)
        return (partition in self._others) is not (partition[0] in self._topics)

    def set(self, what: str | TopicPartition, *, paused: bool) -> None:
        """Pause or resume a partition, or a topic with all of its partitions."""
        if not isinstance(what, str):
            if (what in self) is not paused:
                self._others ^= {what}
        else:
            self._others = {each for each in self._others if each[0] != what}
            if paused:
                self._topics.add(what)
            else:
                self._topics.discard(what)
