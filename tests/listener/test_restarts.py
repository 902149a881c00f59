"""Actors that fail, and a stream that goes on."""

import anyio
import pytest

from sdml_kafka import AuthorizationFailed, ConsumerFailed, KafkaListener, RestartsExhausted
from sdml_kafka.runtime import ActorState, Event, Restarts
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def has_finished(listener: KafkaListener, count: int) -> None:
    await until(lambda: listener.status().counters.finished == count)


async def has_rebalanced(listener: KafkaListener, before: int) -> None:
    await until(lambda: listener.status().counters.rebalances > before)


@pytest.mark.parametrize("error", [ConsumerFailed("died"), RuntimeError("a bug")])
async def test_a_stream_stays_open_over_a_restart_and_nothing_is_lost(error: Exception) -> None:
    broker = broker_with(*map(str, range(10)))
    async with listener_on(broker) as listener:
        async with loops(await listener.subscribe(str)) as (loop,):
            for count in (1, 2):
                await has_finished(listener, 10 * count)
                broker.fail_next_poll(error)
                await has_rebalanced(listener, count)
                fill(broker, range(10 * count, 10 * count + 10))
            await loop.has_seen(30)
            assert loop.seen == [str(number) for number in range(30)]
        assert listener.status().counters.restarts == 6  # of the later actors, too
        (crashed, *_) = listener.status().tree.children
        assert crashed.restarts == 2
        assert crashed.last_error is not None
        assert crashed.state is ActorState.RUNNING


async def test_an_item_in_hand_at_a_crash_may_finish_and_is_committed() -> None:
    broker, gate = broker_with(*"ab"), Gate()
    async with listener_on(broker) as listener:
        async with loops(await listener.subscribe(str), work=gate) as (loop,):
            await until(lambda: gate.arrived)
            broker.fail_next_poll(RuntimeError("a bug"))
            await anyio.sleep(1)
            gate.open()
            await loop.has_seen(2)
            assert loop.seen == ["a", "b"]
        assert listener.status().counters.late_finishes == 0


async def test_a_status_shows_the_restart_while_it_goes_on() -> None:
    broker = broker_with("a")
    events: list[Event] = []
    async with listener_on(
        broker, restarts=Restarts(backoff_s=5.0), on_event=events.append
    ) as listener:
        broker.fail_next_poll(ConsumerFailed("died"))
        await until(lambda: listener.status().tree.children[0].restarts == 1)
        status = listener.status()
        assert not status.connected
        assert status.partitions == {}
        await until(lambda: listener.status().connected)
        assert await take_last(await listener.subscribe(str), 1) == ["a"]
    names = [type(event).__name__ for event in events if event.path[-1] == "consumer-loop"]
    assert names == [
        "ActorStarted",
        "ActorCrashed",
        "ActorRestarting",
        "ActorStarted",
        "ActorStopped",
    ]


async def test_too_many_restarts_come_out_as_one_clear_error_with_its_cause() -> None:
    broker, last = broker_with("a"), ConsumerFailed("died")
    with pytest.raises(RestartsExhausted, match="'consumer-loop'") as caught:
        async with listener_on(broker, restarts=Restarts(max_restarts=2)) as listener:
            for count in range(1, 4):
                broker.fail_next_poll(last)
                await has_rebalanced(listener, count)
    assert caught.value.__cause__ is last


async def test_an_error_that_no_restart_can_mend_comes_out_at_once() -> None:
    broker, refused = broker_with("a"), AuthorizationFailed("no READ on the topic")
    with pytest.raises(AuthorizationFailed) as caught:
        async with listener_on(broker) as listener:
            began = anyio.current_time()
            broker.fail_next_poll(refused)
            await anyio.sleep_forever()
    assert caught.value is refused
    assert anyio.current_time() - began < 1
    assert listener.status().counters.restarts == 0


async def test_a_commit_that_is_not_allowed_stops_the_listener() -> None:
    broker, refused = broker_with("a"), AuthorizationFailed("no READ on the group")
    with pytest.raises(AuthorizationFailed) as caught:
        async with listener_on(broker, auto_commit={"every": 1}) as listener:
            broker.fail_commits(refused)
            await take_last(await listener.subscribe(str), 1)
            await anyio.sleep_forever()
    assert caught.value is refused
    assert broker.committed(GROUP, P0) in (0, 1)  # the last try, on leaving, may go through


async def test_an_outage_is_no_crash() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener:
        async with loops(await listener.subscribe(str)) as (loop,):
            await loop.has_seen(1)
            broker.down()
            await until(lambda: not listener.status().connected)
            await anyio.sleep(60)
            broker.up()
            fill(broker, "b")
            await until(lambda: "b" in loop.seen)
        assert listener.status().connected
        assert listener.status().counters.restarts == 0


async def test_a_failure_past_its_restarts_comes_out_of_a_body_that_waits() -> None:
    broker = broker_with(*"abc")
    with pytest.raises(RestartsExhausted, match="consumer-loop") as caught:
        async with listener_on(broker, restarts=Restarts(max_restarts=0)) as listener:
            stream = await listener.subscribe(str)
            await take_last(stream, 1)
            broker.fail_next_poll(ConsumerFailed("boom"))
            async for _ in stream:
                pass
    assert isinstance(caught.value.__cause__, ConsumerFailed)
    assert broker.members(GROUP) == {}
