"""A client that has lost its brokers is found out by one that has not."""

import threading
from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.interfaces.reports import ConsumerSettings
from sdml_kafka.transport.librdkafka import lost_brokers
from sdml_kafka.transport.librdkafka.consumer.positions.positioning import Positioning
from sdml_kafka.transport.librdkafka.lost_brokers import has_lost_brokers, is_answered
from sdml_kafka.transport.librdkafka.options import consumer_settings, producer_settings
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer import lost_clients
from sdml_kafka.transport.librdkafka.producer.delivery_reports import ReportingProducer
from sdml_kafka.transport.librdkafka.producer.lost_clients import LostClients
from tests.support.other_servers import answering
from tests.support.waiting import until

NO_BROKER = KafkaException(KafkaError(KafkaError._TRANSPORT))
NO_ANSWER = KafkaException(KafkaError(KafkaError._TIMED_OUT))
SETTINGS = {"bootstrap.servers": "127.0.0.1:1", "reconnect.backoff.max.ms": 500}


def raising(error: KafkaException) -> Callable[..., object]:
    def ask(*_: object) -> object:
        raise error

    return ask


@pytest.fixture
def others_are_answered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What other clients find: the last value, for ever."""
    found = [True]
    monkeypatch.setattr(lost_brokers, "is_answered", lambda _: found[-1])
    return found


def test_a_client_that_finds_none_twice_has_lost_them(others_are_answered: list[bool]) -> None:
    assert has_lost_brokers(SETTINGS, NO_BROKER, raising(NO_BROKER))


def test_a_client_that_is_answered_late_has_not(others_are_answered: list[bool]) -> None:
    asked: list[float] = []
    assert not has_lost_brokers(SETTINGS, NO_BROKER, asked.append)
    assert asked == [0.5 + lost_brokers.SPARE_S]  # it may just be about to connect
    assert not has_lost_brokers(SETTINGS, NO_BROKER, raising(NO_ANSWER))
    assert not has_lost_brokers(SETTINGS, NO_ANSWER, raising(NO_BROKER))


def test_in_an_outage_no_client_has(others_are_answered: list[bool]) -> None:
    others_are_answered.append(False)
    assert not has_lost_brokers(SETTINGS, NO_BROKER, raising(NO_BROKER))


def test_another_client_is_not_answered_where_nobody_is() -> None:
    with answering(None) as silent:
        for address in (silent, "127.0.0.1:1"):
            assert not is_answered(consumer_settings(address, "group", None, {}))
            assert not is_answered(producer_settings(address, {}))


def test_a_member_without_brokers_fails() -> None:
    class Stub:
        """Whatever the lookups need, when no broker is found."""

        is_connected, is_due, missing, names = False, True, (), ("orders",)
        may_be_positioned = False

        def __init__(self) -> None:
            self.failures: list[Exception] = []

        @property
        def assignments(self) -> "Stub":
            return self

        def refresh(self, names: object) -> None:
            raise NO_BROKER

        def note_silence(self) -> None:
            """Do nothing."""

        def fail(self, failure: Exception) -> None:
            self.failures.append(failure)

    stub, lost = Stub(), [False]
    all_stubs = (stub,) * 6
    own = ConsumerSettings("group", None, 1.0, 1.0)
    positioning = Positioning(own, *all_stubs, print, lambda _: lost[-1])  # type: ignore[arg-type]
    positioning.turn()
    assert stub.failures == []
    lost.append(True)
    positioning._retry_at = 0.0
    positioning.turn()
    assert [type(each) for each in stub.failures] == [ConsumerFailed]


class Client:
    """A client of a producer, which is answered or not."""

    def __init__(self, error: KafkaException | None) -> None:
        self.error = error
        self.asked = 0

    def partitions(self, topic: str, timeout_s: float) -> int:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return 1


def lost_among(
    *clients: Client, kind: type[LostClients] = LostClients
) -> tuple[LostClients, list[str]]:
    found: list[str] = []
    all_clients = list(clients)
    lost = kind(
        ProgramLoop(),
        SETTINGS,
        lambda: all_clients,  # type: ignore[arg-type, return-value]  # does what is used here
        lambda: ["orders"],
        lambda: found.append("lost"),
    )
    return lost, found


class EndsAtABadTime(LostClients):
    """Clients of which one reports an outage just as the thread has decided to end."""

    def _goes_on(self, left: Sequence[ReportingProducer]) -> bool:
        goes_on = super()._goes_on(left)
        if not goes_on:
            self.look()
        return goes_on


def is_asking() -> bool:
    return any(each.name == "sdml-kafka-lost-clients" for each in threading.enumerate())


@pytest.mark.anyio
async def test_an_outage_is_looked_into_whenever_it_comes() -> None:
    client = Client(None)
    lost, _ = lost_among(client, kind=EndsAtABadTime)
    lost.look()
    await until(lambda: client.asked > 3)
    lost.close()
    await until(lambda: not is_asking())


@pytest.mark.anyio
async def test_clients_of_a_producer_are_asked_after_an_outage(
    others_are_answered: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_clients, "INTERVAL_S", 0.01)
    others_are_answered.append(False)
    clients = Client(None), Client(NO_BROKER)
    lost, found = lost_among(*clients)
    lost.look()
    await until(lambda: clients[1].asked > 3)
    assert clients[0].asked == 1
    lost.look()  # it was down once more, and is asked again
    await until(lambda: clients[0].asked == 2)
    clients[1].error = None
    await until(lambda: not is_asking())
    assert found == []


@pytest.mark.anyio
async def test_a_producer_whose_client_has_lost_its_brokers_is_reported_once(
    others_are_answered: list[bool],
) -> None:
    lost, found = lost_among(Client(NO_BROKER))
    lost.look()
    await until(lambda: found == ["lost"])
    await until(lambda: not is_asking())
    lost.look()
    assert not is_asking()
    assert found == ["lost"]


@pytest.mark.anyio
async def test_nobody_is_asked_once_the_producer_is_closed(
    others_are_answered: list[bool],
) -> None:
    lost, _ = lost_among(client := Client(None))
    lost.close()
    lost.look()
    assert not is_asking()
    assert not client.asked
