"""Members of one group on a real broker: hand-over, and what happens when one dies or freezes."""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from sdml_kafka import KafkaListener
from sdml_kafka.testing import EmbeddedKafka
from tests.support.group_member import last_lines_of, lines_of, running_member
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.listener_on_broker import Reader, listener_on
from tests.support.load import Load
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


def member(kafka: EmbeddedKafka, topic: str, group: str) -> KafkaListener:
    commits = {"every": 200, "interval_s": 0.5}
    return listener_on(kafka, topic, group_id=group, heartbeat_interval_ms=300, auto_commit=commits)


@asynccontextmanager
async def reading(listener: KafkaListener) -> AsyncIterator[Reader]:
    async with anyio.create_task_group() as tasks, listener:
        reader = Reader(listener)
        tasks.start_soon(reader.read)
        yield reader


@pytest.mark.librdkafka_too
@pytest.mark.usefixtures("client")
@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
async def test_a_member_joins_and_leaves_and_nothing_is_lost_or_repeated(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("handover")), unique("group")
    with anyio.fail_after(60), Load(bootstrap, topic) as load:
        async with reading(member(embedded_kafka, topic, group)) as first:
            await first.has_seen(300)
            async with reading(member(embedded_kafka, topic, group)) as second:
                await second.has_seen(300)
            await first.has_seen(len(first.seen) + 300)
            sent = await load.finish()
            await first.has_seen_all(sent, second)
    times = Counter(first.seen + second.seen)
    assert set(times) == sent
    assert [value for value, count in times.items() if count > 1] == []


@pytest.mark.usefixtures("client")
async def test_a_member_without_partitions_leaves_at_once(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("one"), 1), unique("group")
    await produce(bootstrap, topic, ["a"])
    with anyio.fail_after(30):  # less than a session
        async with (
            member(embedded_kafka, topic, group) as one,
            member(embedded_kafka, topic, group) as other,
        ):
            await until(lambda: bool(one.assigned_table()) != bool(other.assigned_table()))
        async with reading(member(embedded_kafka, topic, group)) as last:
            await last.has_seen(1)


@pytest.mark.one_loop
@pytest.mark.usefixtures("client")
async def test_a_member_that_is_killed_loses_nothing(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("killed")), unique("group")
    with anyio.fail_after(60), Load(bootstrap, topic) as load:
        async with reading(member(embedded_kafka, topic, group)) as survivor:
            with running_member(bootstrap, topic, group) as victim:
                lines = await lines_of(victim, 300)
                victim.kill()
                lines += await last_lines_of(victim)
            sent = await load.finish()
            await survivor.has_seen_all(sent - set(lines))
    assert set(survivor.seen) | set(lines) == sent


@pytest.mark.one_loop
@pytest.mark.usefixtures("client")
async def test_a_member_frozen_past_its_session_cannot_commit_over_its_successor(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("frozen"), 1), unique("group")
    with anyio.fail_after(90):
        await produce(bootstrap, topic, map(str, range(100)))
        with running_member(bootstrap, topic, group, "--slow") as frozen:
            await lines_of(frozen, 3)
            os.kill(frozen.pid, signal.SIGSTOP)
            async with reading(member(embedded_kafka, topic, group)) as successor:
                await successor.has_seen_all({str(number) for number in range(100)})
                await successor.listener.commit()
            assert (await committed(bootstrap, group))[topic, 0] == 100
            # The group is empty now, so the broker would take a commit from anybody.
            os.kill(frozen.pid, signal.SIGCONT)
            # The member has finished records and committed none; it would do so as it leaves.
            frozen.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(frozen.wait)
    assert (await committed(bootstrap, group))[topic, 0] == 100


@pytest.mark.trio_asyncio_too
async def test_a_cancelled_enter_is_no_member_that_others_wait_for(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("zombie")), unique("group")
    with anyio.fail_after(60):
        with running_member(bootstrap, topic, group, "--slow") as dead:
            await produce(bootstrap, topic, ["a"])
            await lines_of(dead, 1)
            dead.kill()  # the session of 3 s holds up the group
            with anyio.move_on_after(1.0) as scope:
                async with member(embedded_kafka, topic, group):
                    pytest.fail("entered")
            assert scope.cancelled_caught
            cancelled_at = anyio.current_time()
            async with member(embedded_kafka, topic, group) as late:
                # Some 2 s of the dead member's session are left. If the cancelled listener were a
                # member, its own session of 10 s would come on top.
                assert anyio.current_time() - cancelled_at < 10.0
                assert late.assigned_table() == {topic: [0, 1, 2, 3]}
