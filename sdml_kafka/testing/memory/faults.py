"""Faults that a test orders in the in-memory broker."""

from collections import deque

from attrs import define, field

from sdml_kafka.transport.interfaces.records import TopicPartition


@define
class Failure:
    """An error that a test has ordered."""

    error: Exception
    times: int
    client: str | None
    """The name of the member or producer that gets the error; None for whichever calls first."""
    applied: bool = False
    """True if what fails is carried out, so that only the answer is the error."""
    spoils: bool = False
    """True if a send that fails leaves its partition closed to its producer."""


@define(eq=False)
class Faults:
    """The failures, delays and outages that are in force."""

    starts: deque[Failure] = field(factory=deque[Failure])
    polls: deque[Failure] = field(factory=deque[Failure])
    commits: deque[Failure] = field(factory=deque[Failure])
    sends: deque[Failure] = field(factory=deque[Failure])
    transactions: deque[Failure] = field(factory=deque[Failure])
    """The failures of commits of transactions."""
    holds_commits: bool = False
    holds_transactions: bool = False
    holds_sends: bool = False
    poll_latency_s: float = 0.0
    commit_latency_s: float = 0.0
    send_latency_s: float = 0.0
    spoiled: dict[TopicPartition, str] = field(factory=dict[TopicPartition, str])
    """The partitions whose next batch does not decode, with the reason."""
    spoiled_records: dict[TopicPartition, int] = field(factory=dict[TopicPartition, int])
    """The number of records of that batch."""
    down_since: float | None = None
    """When the outage began; None while the broker can be reached."""

    @property
    def down(self) -> bool:
        """True if no broker can be reached."""
        return self.down_since is not None


def next_failure(ordered: deque[Failure], client: str) -> Failure | None:
    """Return the first failure that is meant for this client, and use it up once."""
    for failure in ordered:
        if failure.client in (None, client):
            failure.times -= 1
            if failure.times <= 0:
                ordered.remove(failure)
            return failure
    return None
