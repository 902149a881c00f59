"""How often the two threads of a client under trio wake each other, in counts."""

import asyncio
from collections.abc import AsyncGenerator
from threading import Event

import anyio
import pytest

from sdml_kafka.transport.aiokafka.producer.adapter import CrossingProducer
from sdml_kafka.transport.aiokafka.producer.partition_queues import Entry
from sdml_kafka.transport.interfaces.producer import Message
from tests.support.counted_home import CountedHome, counted_home

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["trio"])]

RECORDS = 100
PATIENCE_S = 10.0


class Sender(CrossingProducer):
    """Hands records to a thread, which only notes them."""

    def __init__(self, home: CountedHome) -> None:
        super().__init__(home)
        self.arrived: list[Entry] = []
        self._send_there = lambda *entry: self.arrived.append(entry)


class OnSent:
    def __init__(self, *, waits_for_ack: bool) -> None:
        self.waits_for_ack = waits_for_ack
        self.outcomes: list[Exception | None] = []

    def __call__(self, error: Exception | None) -> None:
        self.outcomes.append(error)


@pytest.fixture
async def home(anyio_backend: object) -> AsyncGenerator[CountedHome]:
    async with counted_home() as home:
        yield home


async def crossed(home: CountedHome) -> None:
    """Wait until all has crossed that was on its way, in either direction."""
    with anyio.fail_after(PATIENCE_S):
        await home.call(lambda: asyncio.sleep(0))


async def test_records_that_are_sent_together_wake_the_thread_once(home: CountedHome) -> None:
    sender, is_sent = Sender(home), Event()
    home.call_soon(lambda: is_sent.wait(PATIENCE_S))  # which takes none of them meanwhile
    before = home.wake_ups
    for number in range(RECORDS):
        sender.send(Message("orders", b"%d" % number), OnSent(waits_for_ack=True))
    assert home.wake_ups - before == 1
    is_sent.set()
    await crossed(home)
    assert [entry[0].value for entry in sender.arrived] == [b"%d" % n for n in range(RECORDS)]


async def test_outcomes_that_come_together_wake_the_program_once(home: CountedHome) -> None:
    sender, on_sent = Sender(home), [OnSent(waits_for_ack=True) for _ in range(RECORDS)]
    for each in on_sent:
        sender.send(Message("orders", b""), each)
    await crossed(home)
    before = home.wake_ups_back

    def acknowledge() -> None:
        for entry in sender.arrived:
            sender._report_outcome([entry], None, None)

    home.call_soon(acknowledge)
    await crossed(home)
    assert [each.outcomes for each in on_sent] == [[None]] * RECORDS
    assert home.wake_ups_back - before == 2  # the outcomes, and the end of `crossed`


async def test_acknowledgements_that_nobody_waits_for_wake_nobody(home: CountedHome) -> None:
    sender, on_sent = Sender(home), OnSent(waits_for_ack=False)
    sender.send(Message("orders", b""), on_sent)
    await crossed(home)
    before = home.wake_ups_back
    home.call_soon(lambda: sender._report_outcome(sender.arrived, None, None))
    home.call_soon(lambda: sender._report_outcome(sender.arrived, ValueError("refused"), None))
    await crossed(home)
    assert home.wake_ups_back - before == 2  # the error, and the end of `crossed`
    assert [str(error) for error in on_sent.outcomes] == ["refused"]
