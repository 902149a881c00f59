"""The records that a group has yet to read. Pure."""

from collections.abc import Mapping

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.transport.interfaces.records import TopicPartition


def lag_of(facts: Facts) -> Mapping[TopicPartition, int]:
    """Return the records of each partition that the group has not committed, 0 for none.

    Where nothing is committed the group is about to read from the beginning on, or only what comes;
    such partitions are left out, and so are those whose log was not asked for.
    """
    if facts.group is None or not facts.group.looks:
        return {}
    return {
        key: max(0, end.offset - offset)
        for key, offset in facts.group.looks[-1].committed.offsets.items()
        if (end := facts.ends.get(key)) is not None and not end.error
    }


def unknown_lag(facts: Facts) -> tuple[TopicPartition, ...]:
    """Return the partitions with a commit whose end is not known: no leader has answered."""
    if facts.group is None or not facts.group.looks:
        return ()
    known = lag_of(facts)
    return tuple(sorted(facts.group.looks[-1].committed.offsets.keys() - known.keys()))
