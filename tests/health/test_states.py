"""The health of listeners, clients, servers and producers in what befalls them, on the twin."""

from collections.abc import Callable

import anyio
import pytest

from sdml_kafka import (
    Call,
    ConsumerFailed,
    DeadLetter,
    Health,
    KafkaProducer,
    ParserSpec,
    ProducerFailed,
    RecordRefused,
    Restarts,
    RestartsExhausted,
    SendFailed,
    parse_text,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import new_broker, server_on, serving
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TEXTS,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take_last,
)
from tests.support.processing_on_twin import processing, processing_on
from tests.support.server_by_hand import callers, client_on, hand
from tests.support.server_by_hand import new_broker as new_broker_of_calls
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def becomes(state: str, health: Callable[[], Health]) -> Health:
    """Return the health once it is in this state, within the time that is promised."""
    await until(lambda: health().state == state, within_s=20.0)
    return health()


def states(health: Health) -> dict[str, str]:
    return {part.name: part.state for part in health.parts if part.kind == "partition"}


async def test_an_outage_and_its_end() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(1)
        assert listener.health().ready
        broker.down()
        began = anyio.current_time()
        health = await becomes("broker away", listener.health)
        assert anyio.current_time() - began < 2.0
        assert (health.live, health.ready) == (True, False)
        assert set(states(health).values()) == {"broker away"}
        (part,) = (part for part in health.parts if part.kind == "partition")
        assert part.reason == "no broker can be reached; see the part of the brokers"
        broker.up()
        began = anyio.current_time()
        await until(lambda: listener.health().ready)
        assert anyio.current_time() - began < 3.0


async def test_a_batch_that_does_not_decode() -> None:
    broker = broker_with("a", "b", partitions=2)
    fill(broker, ["x"], partition=1)
    broker.spoil(P0, "CorruptRecordException: CRC")
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(1)
        health = await becomes("held", listener.health)
        assert states(health) == {"topic 0": "held", "topic 1": "idle"}
        assert health.reason.startswith("topic 0: CorruptRecordException: CRC")
        broker.mend(P0)
        await becomes("idle", listener.health)


async def test_a_dead_letter_that_is_not_taken_and_then_is() -> None:
    def refuse(value: str, delivery: object) -> None:
        raise ValueError(value)

    broker = broker_with("a")
    broker.create_topic("letters")
    broker.fail_sends(RecordRefused("the policy forbids it"), times=3)
    listener = processing_on(broker)
    letters = {"on_failure": DeadLetter(topic="letters")}
    async with listener, processing(listener, refuse, **letters):
        health = await becomes("dead letter not taken", listener.health)
        assert "topic 0: record 0 is held, since its dead letter is not taken" in health.reason
        assert "the policy forbids it" in health.reason
        await becomes("idle", listener.health)


async def test_a_member_for_which_there_is_no_partition_is_ready() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as first, listener_on(broker) as second:
        await until(lambda: first.status().partitions or second.status().partitions)
        await until(lambda: first.health().ready and second.health().ready)
        assert {first.health().state, second.health().state} == {"waiting", "no partitions"}


async def test_a_member_that_waits_for_another_one_is_rejoining() -> None:
    broker, gate = broker_with("a", partitions=2), Gate()
    async with (
        listener_on(broker, drain_timeout=5.0) as busy,
        listener_on(broker) as other,
        loops(await busy.subscribe(str), await other.subscribe(str), work=gate) as both,
    ):
        await until(lambda: any(each.seen for each in both))
        waiting = other if both[0].seen else busy
        broker.rebalance(GROUP)
        health = await becomes("rejoining", waiting.health)
        assert (health.live, health.ready) == (True, False)
        assert "this member joins its group again" in health.reason
        gate.open()
        await until(lambda: waiting.health().ready)


async def test_a_partition_that_is_taken_away_drains() -> None:
    broker, gate = broker_with("a", partitions=2), Gate()
    async with (
        listener_on(broker, drain_timeout=5.0) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        broker.rebalance(GROUP)
        health = await becomes("draining", listener.health)
        assert states(health)["topic 0"] == "draining"
        assert health.ready
        gate.open()


async def test_a_missing_topic() -> None:
    broker = MemoryBroker({"other": 1})
    async with listener_on(broker) as listener:
        health = await becomes("topic missing", listener.health)
        assert health.reason.startswith(f"{TOPIC}: the topic does not exist; it is read as soon as")
        assert health.since_s is not None
        await anyio.sleep(5)
        assert 5 <= (listener.health().since_s or 0) < 25
        broker.create_topic(TOPIC)
        await becomes("idle", listener.health)


async def test_a_missing_topic_beside_one_that_is_read() -> None:
    """The listener is ready, and says what is missing even so."""
    broker = broker_with("a")
    missing: ParserSpec[str] = {"topics": ["later"], "type": str, "parser": parse_text}
    async with (
        listener_on(broker, parsers=[TEXTS, missing]) as listener,
        loops(await listener.subscribe(str)),
    ):
        health = await becomes("topic missing", listener.health)
        assert health.ready
        assert [part.name for part in health.parts if not part.ok] == ["later"]
        broker.create_topic("later")
        await becomes("idle", listener.health)


async def test_a_missing_topic_of_a_server_beside_another() -> None:
    server = server_on(new_broker())

    @server.handler("request", "later")
    async def answer(value: bytes, call: Call) -> bytes:
        return value

    async with server:
        health = await becomes("topic missing", server.health)
        assert health.ready
        assert [part.name for part in health.parts if not part.ok] == ["later"]


async def test_a_stream_that_is_not_read_on() -> None:
    async with listener_on(broker_with("a", "b")) as listener:
        stream = await listener.subscribe(str)
        await anyio.sleep(59)
        assert listener.health().ready
        await anyio.sleep(2)
        health = listener.health()
        assert (health.state, health.ready) == ("unread", False)
        assert "record 0 has waited" in health.reason
        assert listener.health(stuck_after_s=120).ready
        await take_last(stream, 2)
        assert listener.health().ready


async def test_a_paused_partition_is_no_trouble() -> None:
    async with listener_on(broker_with("a", partitions=2)) as listener:
        await listener.subscribe(str)
        await listener.pause(P1)
        assert states(listener.health())["topic 1"] == "paused"
        assert listener.health().ready


async def test_a_listener_that_restarts_and_one_that_gives_up() -> None:
    broker, seen = broker_with("a"), set[str]()
    listener = listener_on(broker, restarts=Restarts(max_restarts=1, backoff_s=1.0))
    with pytest.raises(RestartsExhausted):
        async with listener:
            broker.fail_next_poll(ConsumerFailed("ordered"))
            with anyio.move_on_after(10):
                while not seen & {"restarting"}:
                    seen.add(listener.health().state)
                    await anyio.sleep(0.01)
            await until(lambda: listener.health().ready)
            broker.fail_next_poll(ConsumerFailed("ordered again"))
            await anyio.sleep_forever()
    assert "restarting" in seen
    assert (listener.health().live, listener.health().state) == (False, "failed")


async def test_only_who_has_failed_itself_is_failed() -> None:
    def refuse(value: str, delivery: object) -> None:
        raise ValueError(value)

    broker = broker_with("stop it")
    listener = processing_on(broker)
    producer = KafkaProducer(transport=broker.connect_producer())
    listener.processor(str)(refuse)
    with pytest.raises(ValueError, match="stop it"):
        async with producer, listener:
            await anyio.sleep_forever()
    health = listener.health()
    assert (health.live, health.state) == (False, "failed")
    assert "ValueError: stop it" in health.reason
    assert "refuse failed with 'topic' partition 0 offset 0" in health.reason
    assert (producer.health().live, producer.health().state) == (True, "ended")


async def test_an_error_in_a_group_is_of_the_object_that_failed_with_it() -> None:
    broker = broker_with()
    listener, producer = listener_on(broker), KafkaProducer(transport=broker.connect_producer())
    with pytest.raises(ExceptionGroup):
        async with producer, anyio.create_task_group(), listener:
            raise ZeroDivisionError
    assert (listener.health().live, listener.health().state) == (False, "failed")
    assert (producer.health().live, producer.health().state) == (True, "ended")


async def test_a_server_whose_handler_hangs() -> None:
    gate = anyio.Event()

    async def hang(value: bytes, call: Call) -> bytes:
        await gate.wait()
        return value

    broker = new_broker()
    async with serving(broker, hang) as server:
        broker.produce("request", b"a")
        await until(lambda: server.status().in_flight == 1)
        await anyio.sleep(61)
        health = server.health()
        assert (health.state, health.ready) == ("stuck", False)
        assert "request 0: record 0 has been in hand" in health.reason
        gate.set()
        await until(lambda: server.health().ready)


async def test_a_client_in_an_outage() -> None:
    broker = new_broker_of_calls()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        assert (rpc.health().state, rpc.health().ready) == ("idle", True)
        call = tasks.call()
        request = await server.request()
        assert rpc.health().state == "moving"
        broker.down()
        await becomes("broker away", rpc.health)
        broker.up()
        await until(lambda: rpc.health().ready)
        server.reply(request, b"done")
        assert await call.get() == b"done"
    assert (rpc.health().live, rpc.health().ready, rpc.health().state) == (True, False, "ended")


async def test_a_producer_without_answers() -> None:
    broker = broker_with()
    connect = broker.connect_producer()
    async with KafkaProducer(transport=connect) as producer, anyio.create_task_group() as tasks:
        assert (producer.health().state, producer.health().ready) == ("idle", True)
        broker.hold_sends()
        tasks.start_soon(producer.send, TOPIC, b"a")
        await anyio.sleep(9)
        assert (producer.health().state, producer.health().ready) == ("moving", True)
        await anyio.sleep(2)
        assert (producer.health().state, producer.health().ready) == ("stuck", False)
        broker.release_sends()
        await until(lambda: producer.health().ready)
        broker.down()
        health = await becomes("broker away", producer.health)
        assert "memory: it is down" in health.reason
        broker.up()


async def test_a_producer_is_ready_again_once_an_outage_is_over() -> None:
    broker = MemoryBroker({TOPIC: 1})
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        await producer.send(TOPIC, b"a")
        broker.down()
        with pytest.raises(SendFailed):
            await producer.send(TOPIC, b"b", timeout_s=12)
        assert {part.state for part in producer.health().parts} >= {"stuck", "broker away"}
        broker.up()
        await anyio.sleep(3)
        assert producer.health().ready, producer.health()


async def test_a_producer_whose_records_come_through_late_is_ready_at_once() -> None:
    broker = broker_with()
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        broker.hold_sends()
        with pytest.raises(SendFailed):
            await producer.send(TOPIC, b"a", timeout_s=12)
        assert producer.status().waiting == 0
        assert producer.health().state == "stuck"
        broker.release_sends()
        await anyio.sleep(0.2)
        assert producer.health().ready


async def test_a_producer_that_cannot_go_on() -> None:
    broker = broker_with()
    producer = KafkaProducer(transport=broker.connect_producer(), restarts=Restarts(max_restarts=0))
    with pytest.raises(RestartsExhausted):
        async with producer:
            broker.fail_producer(ProducerFailed("ordered"))
            await anyio.sleep_forever()
    assert (producer.health().live, producer.health().state) == (False, "failed")
