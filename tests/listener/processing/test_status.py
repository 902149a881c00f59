"""What `status()` shows of a processor while it works."""

from functools import partial

import anyio
import pytest

from sdml_kafka import Delivery
from sdml_kafka.listener.processing.policies import DeadLetter, Retry
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_what_runs_and_what_waits() -> None:
    broker, go_on = broker_with(), anyio.Event()
    for number in range(12):
        broker.produce(TOPIC, b"%d" % number, partition=0, key=b"%d" % (number % 3))

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await go_on.wait()

    async with processing_on(broker) as listener:
        began = anyio.current_time()
        options = {"order": "key", "concurrency": 5, "name": "billing"}
        async with processing(listener, handle, **options):
            await until(lambda: listener.status().processors)
            await until(lambda: listener.status().processors["billing"].running == 3)
            await anyio.sleep(4.0)
            status = listener.status().processors["billing"]
            assert (status.running, status.keys) == (3, 3)
            assert status.queued == 9
            assert status.oldest_s == pytest.approx(anyio.current_time() - began, abs=0.5)
            assert status.handler_p50_s is status.handler_p99_s is None
            go_on.set()
            await until(lambda: listener.status().processors["billing"].finished == 12)
            status = listener.status().processors["billing"]
            assert (status.running, status.keys, status.queued) == (0, 0, 0)
            assert status.oldest_s is None
        assert listener.status().processors == {}


async def test_how_long_handlers_take() -> None:
    broker = broker_with(*map(str, range(100)))

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await anyio.sleep(10.0 if value == "50" else 0.2)

    async with processing_on(broker) as listener, processing(listener, handle, name="a"):
        await until(lambda: listener.status().processors)
        await until(lambda: listener.status().processors["a"].finished == 100)
        status = listener.status().processors["a"]
    assert status.handler_p50_s == pytest.approx(0.2, abs=0.01)
    assert status.handler_p99_s == pytest.approx(10.0, abs=0.01)


async def test_what_has_failed() -> None:
    broker = broker_with(*map(str, range(6)))

    async def handle(value: str, delivery: Delivery[str]) -> None:
        if value == "5" or (value in "34" and delivery.attempt < 3):
            raise ValueError(value)

    retry = Retry(attempts=3, backoff_s=0.1)
    options = {"retry": retry, "on_failure": DeadLetter(), "name": "a"}
    async with processing_on(broker) as listener, processing(listener, handle, **options):
        await until(lambda: listener.status().processors)
        await until(lambda: listener.status().processors["a"].held)
        status = listener.status().processors["a"]
        assert (status.finished, status.retries, status.failures) == (5, 6, 1)
        assert status.dead_letters == 0
        (held,) = status.held
        assert (held.topic, held.partition, held.offset) == (TOPIC, 0, 5)
        assert (held.to, held.purpose) == (f"{TOPIC}-dlt", "dead letter")
        assert "does not exist" in held.why
        await anyio.sleep(3.0)
        (held,) = listener.status().processors["a"].held
        assert held.for_s == pytest.approx(3.0, abs=0.5)
        broker.create_topic(f"{TOPIC}-dlt")
        await until(lambda: listener.status().processors["a"].dead_letters == 1)
        assert listener.status().processors["a"].held == []
    assert listener.status().processors == {}


async def test_processors_of_one_name_are_told_apart() -> None:
    broker = broker_with("a", "b")

    async def handle(value: str, delivery: Delivery[str]) -> None: ...

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, name="x"),
        processing(listener, handle, name="x"),
    ):
        await until(lambda: len(listener.status().processors) == 2)
        assert set(listener.status().processors) == {"x", "x-2"}
        await until(lambda: sum(p.finished for p in listener.status().processors.values()) == 2)
    assert broker.members(GROUP) == {}


async def test_a_record_that_does_not_parse_takes_no_handler_and_counts_once() -> None:
    broker = broker_with("1", "bad", "2")
    broker.create_topic(f"{TOPIC}-dlt")
    spec = {"topics": [TOPIC], "type": int, "parser": lambda record: int(record.value)}

    async def handle(value: int, delivery: Delivery[int]) -> None:
        await anyio.sleep(1.0)

    async with (
        processing_on(broker, parsers=[spec], on_parse_error=DeadLetter()) as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(listener.process, int, handle, name="a"))
        await until(lambda: listener.status().counters.finished == 3)
        await until(lambda: broker.committed(GROUP, P0) == 3)
        assert listener.status().counters.delivered == 3
        assert listener.status().processors["a"].handler_p50_s == pytest.approx(1.0, abs=0.1)
        assert listener.status().processors["a"].finished == 2
        tasks.cancel_scope.cancel()


async def test_the_last_figures_stay_when_an_error_has_stopped_the_listener() -> None:
    broker = broker_with("a", "b")
    listener = processing_on(broker)

    @listener.processor(str, name="texts")
    async def handle(value: str, delivery: Delivery[str]) -> None:
        if value == "b":
            raise ValueError(value)

    with pytest.raises(ValueError, match="b"):
        async with listener:
            await anyio.sleep_forever()
    status = listener.status().processors["texts"]
    assert (status.finished, status.failures, status.running) == (1, 1, 0)
