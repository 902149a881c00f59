"""Part commits into requests that a broker takes. Pure; both drivers for a real broker use it."""

from collections.abc import Iterator, Mapping

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit

MAX_REQUEST = 600_000
"""The bytes that one request commits at most. The broker writes each request as one batch of 1 MB
at most, and refuses what does not fit."""
PARTITION = 600
"""The bytes that a partition takes there at most, by the lengths of the names of its topic and
group, its metadata not counted."""


def commit_requests(
    commits: Mapping[TopicPartition, Commit],
) -> Iterator[dict[TopicPartition, Commit]]:
    """Return the commits in parts that a broker takes."""
    part: dict[TopicPartition, Commit] = {}
    size = 0
    for partition, commit in commits.items():
        size += PARTITION + len(commit.metadata)
        if part and size > MAX_REQUEST:
            yield part
            part, size = {}, PARTITION + len(commit.metadata)
        part[partition] = commit
    yield part
