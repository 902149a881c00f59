"""After an outage of all brokers nothing is fetched before the partitions have leaders again."""

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Health
from sdml_kafka.transport.librdkafka.consumer.records import outage as outages
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.librdkafka.consumer.records.fetching import Fetching
from sdml_kafka.transport.librdkafka.consumer.records.outage import Outage
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop

pytestmark = pytest.mark.anyio

KEYS = [TopicPartition("orders", number) for number in range(3)]
LEADERS = {0: 1, 1: 1, 2: 1}


class Client:
    """A client whose brokers say which partitions have leaders, if they answer."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] | None = LEADERS
        self.fetched: set[int] = set()
        self.sought: dict[int, int] = {}
        self.assigned: dict[int, int] = {}

    def incremental_assign(self, partitions: list[Any]) -> None:
        self.fetched |= {each.partition for each in partitions}
        self.assigned = {each.partition: each.offset for each in partitions}

    def pause(self, partitions: list[Any]) -> None:
        self.fetched -= {each.partition for each in partitions}

    def resume(self, partitions: list[Any]) -> None:
        self.fetched |= {each.partition for each in partitions}

    def seek(self, place: Any) -> None:
        self.sought[place.partition] = place.offset

    def poll(self, timeout_s: float) -> None:
        """Have nothing."""

    def list_topics(self, topic: str, timeout_s: float) -> Any:
        if self.leaders is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        found = {number: SimpleNamespace(leader=each) for number, each in self.leaders.items()}
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=found)})


def fetching_from(fetcher: Any, outage: Outage) -> Fetching:
    exchange = Exchange(ProgramLoop(), lambda: False, lambda: None)
    taker = Fetching(
        fetcher,
        exchange,
        lambda s: None,
        outage,
        skips_corrupt=False,
        reads_what_is_left=True,
    )
    positions = {key: 10 + key.partition for key in KEYS}
    taker.open(positions)
    exchange.open(Assignment(1, positions, dict.fromkeys(KEYS)), Health(True, {}))
    return taker


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(outages, "LOOK_INTERVAL_S", 0.0)
    return Client()


async def test_fetching_begins_anew_with_the_leaders(fetcher: Client) -> None:
    outage = Outage()
    taker = fetching_from(fetcher, outage)
    taker.turn()
    assert fetcher.fetched == {0, 1, 2}
    outage.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    for leaders in (None, {0: 1}, {0: 1, 1: -1, 2: 1}):
        fetcher.leaders = leaders
        taker.turn()
        assert fetcher.fetched == set(), leaders
    fetcher.leaders = LEADERS
    taker.turn()
    assert fetcher.fetched == {0, 1, 2}
    assert fetcher.sought == {0: 10, 1: 11, 2: 12}
    assert not outage.is_on


async def test_what_is_assigned_or_moved_meanwhile_waits_as_well(fetcher: Client) -> None:
    outage = Outage()
    taker = fetching_from(fetcher, outage)
    outage.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    fetcher.leaders = None
    taker.turn()
    taker.seek({KEYS[0]: 5}, 1)
    assert fetcher.fetched == set()
    taker.open({KEYS[1]: 11})
    taker.turn()
    assert fetcher.fetched == set()
    fetcher.leaders = LEADERS
    taker.turn()
    assert fetcher.sought == {0: 5, 1: 11, 2: 12}


async def test_a_partition_that_stays_without_a_leader_holds_up_nobody_for_long(
    fetcher: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage()
    taker = fetching_from(fetcher, outage)
    outage.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    fetcher.leaders = {0: 1, 1: -1, 2: 1}
    taker.turn()
    assert fetcher.fetched == set()
    monkeypatch.setattr(outages, "MAX_LEADERLESS_S", 0.0)
    taker.turn()
    assert fetcher.fetched == {0, 1, 2}


async def test_other_errors_stop_nothing(fetcher: Client) -> None:
    outage = Outage()
    taker = fetching_from(fetcher, outage)
    outage.note(KafkaError(KafkaError._TRANSPORT))
    taker.turn()
    assert fetcher.fetched == {0, 1, 2}


async def test_a_client_that_has_lost_its_brokers_is_replaced(fetcher: Client) -> None:
    following, answered_at = Client(), -inf
    outage = Outage(0.0, lambda: answered_at, lambda: following)  # type: ignore[arg-type, return-value]  # does what is used here
    taker = fetching_from(fetcher, outage)
    outage.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    fetcher.leaders = None
    taker.turn()
    assert not following.assigned  # no other fetcher is answered, so the brokers are away
    answered_at = inf
    taker.turn()
    assert following.assigned == {0: 10, 1: 11, 2: 12}
    taker.turn()
    assert following.fetched == {0, 1, 2}
    assert following.sought == {0: 10, 1: 11, 2: 12}
    assert not outage.is_on


async def test_an_outage_without_partitions_lasts_until_there_are_some(fetcher: Client) -> None:
    outage = Outage()
    outage.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert not outage.is_over(fetcher, ())  # type: ignore[arg-type]  # is not asked
    assert outage.is_over(fetcher, KEYS)  # type: ignore[arg-type]  # does what is used here
