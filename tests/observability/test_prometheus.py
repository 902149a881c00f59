"""What Prometheus reads, as its own parser understands it."""

from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sdml_kafka import (
    Call,
    CommitFailed,
    ConfigurationError,
    ConsumerFailed,
    DeadLetter,
    Delivery,
    KafkaProducer,
    KafkaRPC,
    KafkaRPCServer,
    Restarts,
    Retry,
    Send,
    TopicPartition,
)
from sdml_kafka.observability import app
from sdml_kafka.observability.prometheus import Collector, Prometheus
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take_last,
)
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


class Samples:
    """What was read, by the name of the sample and some of its labels."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float:
        (found,) = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return float(found)


def read(registry: CollectorRegistry) -> Samples:
    return Samples(generate_latest(registry).decode())


async def test_a_listener_and_its_processor() -> None:
    registry = CollectorRegistry()
    broker = broker_with()
    broker.create_topic(f"{TOPIC}-dlt")
    fill(broker, ["good", "bad"])

    async def handle(value: str, delivery: Delivery[str]) -> None:
        if value == "bad":
            raise ValueError("bad")

    listener = processing_on(broker, hooks=[Prometheus(registry)])
    registry.register(Collector(listener))
    options: dict[str, Any] = {"retry": Retry(2, 0.1), "on_failure": DeadLetter(), "name": "bills"}
    async with listener, processing(listener, handle, **options):
        await until(lambda: listener.status().counters.finished == 2)
        broker.fail_commits()
        with pytest.raises(CommitFailed):
            await listener.commit()
        await listener.commit()
        broker.produce(TOPIC, b"next", partition=0)
        samples = read(registry)
    place = {"consumergroup": GROUP, "topic": TOPIC, "partition": "0"}
    assert samples.value("kafka_consumergroup_current_offset", **place) == 2
    assert samples.value("kafka_consumergroup_lag", **place) in (0, 1)
    assert samples.value("sdml_kafka_records_finished_total", object="listener") == 2
    bills = {"object": "listener", "processor": "bills"}
    assert samples.value("sdml_kafka_retries_total", **bills) == 1
    assert samples.value("sdml_kafka_dead_letters_total", **bills) == 1
    assert samples.value("sdml_kafka_connected", object="listener") == 1
    handlers = {"kind": "listener", "handler": "bills"}
    assert samples.value("sdml_kafka_handler_seconds_count", **handlers) >= 3
    assert samples.value("sdml_kafka_commits_total", consumergroup=GROUP) >= 1
    failed = {"consumergroup": GROUP, "error": "CommitFailed"}
    assert samples.value("sdml_kafka_commits_failed_total", **failed) == 1
    assert broker.committed(GROUP, P0) is not None


async def test_calls_requests_and_sends() -> None:
    registry = CollectorRegistry()
    metrics = Prometheus(registry)
    broker = MemoryBroker({"requests": 1, "sent": 1})
    server = KafkaRPCServer(
        transport=Transport(broker.connect("servers"), broker.connect_producer()), hooks=[metrics]
    )

    @server.handler("requests")
    async def answer(value: bytes, call: Call) -> bytes:
        return value

    rpc = KafkaRPC(
        transport=Transport(broker.connect(""), broker.connect_producer()), hooks=[metrics]
    )
    producer = KafkaProducer(transport=broker.connect_producer())
    registry.register(Collector(server, rpc, producer))
    async with server, rpc, producer:
        await rpc.request("requests", b"x", res_timeout=5.0)
        await rpc.request("requests", b"x", res_timeout=None)
        await producer.send("sent", b"x")
        samples = read(registry)
    call = {"topic": "requests", "outcome": "ok"}
    assert samples.value("sdml_kafka_call_seconds_count", **call) == 2
    assert 0 <= samples.value("sdml_kafka_call_seconds_sum", **call) < 5
    assert samples.value("sdml_kafka_handler_seconds_count", kind="server") == 2
    assert samples.value("sdml_kafka_calls_total", object="rpc") == 2
    assert samples.value("sdml_kafka_requests_total", object="server") == 2
    assert samples.value("sdml_kafka_sends_acknowledged_total", object="producer") == 1


async def test_an_object_comes_once_though_a_collector_of_it_is_registered() -> None:
    """Other objects of that collector are in the same metrics, of which there is one each."""
    shown, other = processing_on(broker_with("a")), KafkaProducer(bootstrap_servers="127.0.0.1:1")
    collector = Collector(shown, other)
    REGISTRY.register(collector)
    try:
        transport = httpx.ASGITransport(app(shown))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            text = (await client.get("/metrics")).text
        alone = Samples(generate_latest(REGISTRY).decode())
    finally:
        REGISTRY.unregister(collector)
    samples = Samples(text)
    assert samples.value("sdml_kafka_live", object="listener") == 1
    assert samples.value("sdml_kafka_live", object="producer") == 1
    assert text.count("# TYPE sdml_kafka_live gauge") == 1
    assert alone.value("sdml_kafka_live", object="listener") == 1


async def test_another_thread_may_collect() -> None:
    registry, broker = CollectorRegistry(), broker_with("a")
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)):
        registry.register(Collector(listener))
        await until(lambda: listener.status().counters.finished == 1)
        samples = await anyio.to_thread.run_sync(read, registry)
    assert samples.value("sdml_kafka_records_finished_total", object="listener") == 1


async def test_what_was_sent_and_is_not_acknowledged_is_counted_for_each_object() -> None:
    registry, broker = CollectorRegistry(), broker_with("a")
    for topic in ("requests", "next"):
        broker.create_topic(topic)
    transport = Transport(broker.connect("servers"), broker.connect_producer())
    server, listener = KafkaRPCServer(transport=transport), processing_on(broker)
    rpc = KafkaRPC(transport=Transport(broker.connect(""), broker.connect_producer()))
    registry.register(Collector(listener, rpc, server))

    @server.handler("requests")
    async def answer(value: bytes, call: Call) -> bytes:
        if value == b"first":
            broker.hold_sends()
        return value

    async def forward(value: str, delivery: Delivery[str]) -> Send:
        return Send("next", value.encode())

    def waiting() -> list[float]:
        samples = read(registry)
        return [
            samples.value("sdml_kafka_sends_waiting", object=each)
            for each in ("listener", "rpc", "server")
        ]

    async with server, rpc, listener, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(rpc.request, "requests", b"first", res_timeout=60.0))
        await until(lambda: waiting() == [0, 0, 1])
        tasks.start_soon(partial(rpc.request, "requests", b"second", res_timeout=60.0))
        async with processing(listener, forward):
            await until(lambda: waiting() == [1, 1, 1])
            broker.release_sends()
            await until(lambda: broker.records(TopicPartition("next", 0)))


async def test_dead_letters_of_what_does_not_parse_are_counted() -> None:
    broker = MemoryBroker({TOPIC: 1, f"{TOPIC}-dlt": 1})
    broker.produce(TOPIC, b"\xff")
    registry = CollectorRegistry()
    listener = processing_on(broker, on_parse_error=DeadLetter())
    registry.register(Collector(listener))
    of = {"object": "listener", "processor": ""}
    async with listener:
        assert read(registry).value("sdml_kafka_dead_letters_total", **of) == 0
        async with loops(await listener.subscribe(str)):
            await until(lambda: listener.status().counters.dead_letters == 1)
        assert read(registry).value("sdml_kafka_dead_letters_total", **of) == 1


async def test_the_application_answers_with_metrics() -> None:
    listener = processing_on(broker_with("a"))
    transport = httpx.ASGITransport(app(listener))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        new = await client.get("/metrics")
        async with listener:
            running = await client.get("/metrics")
    assert new.status_code == running.status_code == 200
    assert new.headers["content-type"].startswith("text/plain")
    assert Samples(new.text).value("sdml_kafka_connected", object="listener") == 0
    assert Samples(running.text).value("sdml_kafka_connected", object="listener") == 1


async def test_what_is_stuck_and_what_has_failed_can_be_alerted_on() -> None:
    broker = broker_with("a", "b")
    listener = listener_on(broker, restarts=Restarts(max_restarts=0))
    transport = httpx.ASGITransport(app(listener, stuck_after_s=30))
    client = httpx.AsyncClient(transport=transport, base_url="http://service")
    of, place = {"object": "listener"}, {"consumergroup": GROUP, "topic": TOPIC, "partition": "0"}

    seen: list[Samples] = []

    async def scrape() -> None:
        seen.append(Samples((await client.get("/metrics")).text))

    async with client:
        with pytest.raises(Exception, match="ordered"):
            async with (
                listener,
                loops(await listener.subscribe(str), work=Gate()) as (loop,),
            ):
                await loop.has_seen(1)
                await scrape()
                await anyio.sleep(31)
                await scrape()
                broker.fail_next_poll(ConsumerFailed("ordered"))
                await anyio.sleep_forever()
        await scrape()
    moving, stuck, failed = seen
    assert moving.value("sdml_kafka_ready", **of) == 1
    assert moving.value("sdml_kafka_state", **of, state="stuck") == 0
    assert moving.value("sdml_kafka_oldest_record_seconds", **place) < 1
    assert stuck.value("sdml_kafka_live", **of) == 1
    assert stuck.value("sdml_kafka_ready", **of) == 0
    assert stuck.value("sdml_kafka_state", **of, state="stuck") == 1
    assert stuck.value("sdml_kafka_parts", **of, kind="partition", state="stuck") == 1
    assert stuck.value("sdml_kafka_oldest_record_seconds", **place) == pytest.approx(31, abs=1)
    assert failed.value("sdml_kafka_live", **of) == 0
    assert failed.value("sdml_kafka_state", **of, state="failed") == 1


async def test_hooks_of_one_registry_share_their_metrics() -> None:
    registry = CollectorRegistry()
    broker = broker_with("a")
    for _ in range(2):
        async with processing_on(broker, hooks=[Prometheus(registry)]) as listener:
            broker.produce(TOPIC, b"next", partition=0)
            await take_last(await listener.subscribe(str), 1)
            await listener.commit()
    assert read(registry).value("sdml_kafka_commits_total", consumergroup=GROUP) >= 2


async def test_a_metric_of_somebody_else_is_in_the_way_of_all() -> None:
    registry = CollectorRegistry()
    other = Counter("sdml_kafka_commits", "Of somebody else.", registry=registry)
    with pytest.raises(ConfigurationError, match=r"sdml_kafka_commits.*registry=CollectorRegistry"):
        Prometheus(registry)
    assert [family.name for family in registry.collect()] == ["sdml_kafka_commits"]
    registry.unregister(other)
    Prometheus(registry)
    Prometheus(registry)


async def test_a_label_that_is_no_text_does_not_hide_all_others() -> None:
    wrong = Counter("wrong", "A counter of the program's.", ("path",))
    wrong.labels("file-\udcff").inc()
    try:
        application = app(listener_on(broker_with()))
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answer = await client.get("/metrics")
    finally:
        REGISTRY.unregister(wrong)
    samples = Samples(answer.text)
    assert samples.value("wrong_total", path="file-?") == 1
    assert samples.value("sdml_kafka_live", object="listener") == 1
