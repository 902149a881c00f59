"""The partitions of a member, whatever librdkafka reports in which order."""

from typing import Any

from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.consumer.assignments import Assignments, PendingRevocation

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


class Client:
    """A client that calls back when a test says so."""

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        self.callbacks = callbacks

    def incremental_assign(self, partitions: object) -> None:
        """Take anything."""

    incremental_unassign = incremental_assign

    def call(self, name: str, *keys: TopicPartition) -> None:
        self.callbacks[name](self, [ClientPartition(*key) for key in keys])


def test_what_is_lost_while_a_revocation_waits_is_let_go_of_with_it() -> None:
    client: Any = Client()
    announced: list[PendingRevocation] = []
    assignments = Assignments(client, frozenset, announced.append, is_incremental=True, drain_s=60)
    assignments.subscribe(["orders"], reports_empty=False)
    client.call("on_assign", P0, P1)
    client.call("on_revoke", P0)
    client.call("on_lost", P1)
    first, second = announced
    assert first.lost
    assignments.release(second)
    assert assignments.take_released(commit_in_flight=False) == {P0, P1}
    assert assignments.epochs == {}
    assignments.note_positioned()
    client.call("on_assign", P0)
    assert not assignments.may_be_positioned  # the program is yet to release it
    first.is_released = True
    assert assignments.may_be_positioned
