"""When offsets are committed: by count, by time, on demand, and after a commit that failed."""

import anyio
import pytest

from sdml_kafka import AutoCommit, ClientClosed, CommitFailed
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, P1, broker_with, fill, listener_on, take_last
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def times_of(broker: MemoryBroker) -> list[int]:
    return [commit.offset for commit in broker.commits if commit.offset]


async def test_every_n_commits_after_n_records_finished_by_the_listener() -> None:
    broker = broker_with(*map(str, range(10)), partitions=2)
    fill(broker, range(10), partition=1)
    async with listener_on(broker, auto_commit={"every": 5}) as listener:
        stream = await listener.subscribe(str)
        for count in range(1, 21):
            await take_last(stream, 1)
            await anyio.sleep(10)
            done = (broker.committed(GROUP, P0) or 0) + (broker.committed(GROUP, P1) or 0)
            assert done == count // 5 * 5


async def test_interval_s_commits_after_that_time() -> None:
    broker = broker_with(*map(str, range(100)))
    async with listener_on(broker, auto_commit=AutoCommit(interval_s=7.0)) as listener:
        began = anyio.current_time()
        assert len(await take_last(await listener.subscribe(str), 50)) == 50
        await until(lambda: broker.committed(GROUP, P0) == 50)
        assert 6.5 < anyio.current_time() - began < 7.5


async def test_with_both_what_comes_first_commits() -> None:
    broker = broker_with(*map(str, range(100)))
    async with listener_on(broker, auto_commit={"every": 10, "interval_s": 5.0}) as listener:
        stream = await listener.subscribe(str)
        began = anyio.current_time()
        await take_last(stream, 10)
        await until(lambda: broker.committed(GROUP, P0) == 10)
        assert anyio.current_time() - began < 1
        await take_last(stream, 3)
        await until(lambda: broker.committed(GROUP, P0) == 13)
        assert 4 < anyio.current_time() - began < 6


async def test_without_auto_commit_the_interval_is_the_consumers_own() -> None:
    broker = broker_with("a")
    async with listener_on(broker, auto_commit_interval_s=3.0) as listener:
        began = anyio.current_time()
        await take_last(await listener.subscribe(str), 1)
        await until(lambda: broker.committed(GROUP, P0) == 1)
        assert 2.5 < anyio.current_time() - began < 3.5


async def test_with_auto_commit_off_only_commit_commits_leaving_included() -> None:
    broker = broker_with(*"abcd")
    async with listener_on(broker, auto_commit_interval_s=None) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 2)
        await anyio.sleep(100)
        assert broker.committed(GROUP, P0) is None
        await listener.commit()
        assert broker.committed(GROUP, P0) == 2
        await take_last(stream, 1)
        broker.rebalance(GROUP)
        await until(lambda: listener.status().counters.rebalances == 2)
        assert broker.committed(GROUP, P0) == 2
        await take_last(stream, 1)
    assert broker.committed(GROUP, P0) == 2


async def test_auto_commit_overrides_a_consumer_with_it_off() -> None:
    broker = broker_with(*"ab")
    async with listener_on(
        broker, auto_commit_interval_s=None, auto_commit={"every": 100}
    ) as listener:
        await take_last(await listener.subscribe(str), 2)
    assert broker.committed(GROUP, P0) == 2


async def test_a_commit_while_nothing_has_finished_asks_nobody() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener:
        commits = len(broker.commits)
        broker.down()
        await listener.commit()
        assert len(broker.commits) == commits
        broker.up()


async def test_a_commit_while_the_broker_is_down_fails_in_time_and_goes_through_later() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker, auto_commit={"every": 1, "interval_s": 2.0}) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 1)
        broker.down()
        began = anyio.current_time()
        await take_last(stream, 1)
        with pytest.raises(CommitFailed):
            await listener.commit()
        assert anyio.current_time() - began <= 10.1
        assert not listener.status().connected
        broker.up()
        await until(lambda: broker.committed(GROUP, P0) == 2)


async def test_a_commit_that_failed_is_logged_and_tried_again_by_the_schedule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = broker_with("a")
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        broker.fail_commits(times=3)
        await take_last(await listener.subscribe(str), 1)
        await until(lambda: broker.committed(GROUP, P0) == 1)
    lines = [r for r in caplog.records if "commit" in r.message]
    assert [(r.name, r.levelname) for r in lines] == [("sdml_kafka.listener", "WARNING")] * 2
    assert "(1 more like this" in lines[1].message  # at most one in 30 s, with a count


async def test_commits_of_many_tasks_take_turns() -> None:
    broker = broker_with(*"abc")
    broker.slow_down(commit_s=0.1)
    async with listener_on(broker) as listener:
        await take_last(await listener.subscribe(str), 3)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(listener.commit)
    assert times_of(broker) == [3]


async def test_a_commit_before_it_is_entered_says_so() -> None:
    with pytest.raises(ClientClosed, match="not running"):
        await listener_on(broker_with()).commit()


async def test_when_to_commit_is_known_between_two_consumers_too() -> None:
    listener = listener_on(broker_with(*"abc"), auto_commit_interval_s=7.0)
    async with listener:
        committer = listener._actors.committer  # pyright: ignore[reportPrivateUsage]
        policy = committer.policy
        assert policy == AutoCommit(interval_s=7.0)
    assert committer.policy == policy
