"""A group with members of other kinds: Java's, and ours over the other client.

The group changes from the classic protocol to that of KIP-848 when the first such member joins, and
back when the last one leaves (`group.consumer.migration.policy=bidirectional`).
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import anyio
import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from sdml_kafka import ConfigurationError
from sdml_kafka.testing import EmbeddedKafka
from tests.support.java_member import JavaMember, java_member
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.listener_on_broker import Reader, listener_on
from tests.support.load import Load
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(180)]

PARTITIONS = 4
CLASSIC = {"group.protocol": "classic", "heartbeat.interval.ms": 300}


class Member(Protocol):
    """A member that reads; both kinds have what they saw."""

    seen: list[str]


Join = Callable[[EmbeddedKafka, str, str], AbstractAsyncContextManager[Member]]


def ours(**options: Any) -> Join:
    """Return what lets a listener join; it leaves at the end."""

    @asynccontextmanager
    async def join(kafka: EmbeddedKafka, topic: str, group: str) -> AsyncGenerator[Reader]:
        commits = {"every": 200, "interval_s": 0.5}
        listener = listener_on(kafka, topic, group_id=group, auto_commit=commits, **options)
        async with anyio.create_task_group() as tasks, listener:
            reader = Reader(listener)
            tasks.start_soon(reader.read)
            yield reader

    return join


def javas(protocol: Any) -> Join:
    @asynccontextmanager
    async def join(kafka: EmbeddedKafka, topic: str, group: str) -> AsyncGenerator[JavaMember]:
        with java_member(kafka, topic, group, protocol) as member:
            yield member
            await anyio.to_thread.run_sync(member.leave)

    return join


MEMBERS = {
    "librdkafka": ours(client="librdkafka"),
    "librdkafka-range": ours(
        client="librdkafka",
        client_options={**CLASSIC, "partition.assignment.strategy": "range"},
    ),
    "librdkafka-cooperative": ours(client="librdkafka", client_options=CLASSIC),
    "aiokafka": ours(heartbeat_interval_ms=300),
    "aiokafka-range": ours(
        heartbeat_interval_ms=300, partition_assignment_strategy=(RangePartitionAssignor,)
    ),
    "java": javas("consumer"),
    "java-classic": javas("classic"),
}
WORST = ("aiokafka", "java")
"""Eager and classic, beside a Java member of KIP-848: both migrations, by another's hand."""


@pytest.mark.parametrize(
    ("stays", "comes"),
    [
        pytest.param(stays, comes, marks=() if (stays, comes) == WORST else pytest.mark.soak)
        for stays, comes in (
            WORST,
            ("aiokafka", "librdkafka"),
            ("aiokafka-range", "java-classic"),
            ("aiokafka-range", "librdkafka-range"),
            ("java", "aiokafka"),
            ("java", "librdkafka"),
            ("java", "librdkafka-cooperative"),
            ("java-classic", "aiokafka-range"),
            ("java-classic", "librdkafka"),
            ("java-classic", "librdkafka-range"),
            ("librdkafka", "aiokafka"),
            ("librdkafka", "java"),
            ("librdkafka", "java-classic"),
            ("librdkafka-cooperative", "java"),
            ("librdkafka-cooperative", "librdkafka"),
        )
    ],
)
@pytest.mark.one_loop
async def test_a_member_of_another_kind_joins_and_leaves_and_nothing_is_lost_or_repeated(
    embedded_kafka: EmbeddedKafka, stays: str, comes: str
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("mixed"), PARTITIONS), unique("group")
    with anyio.fail_after(120), Load(bootstrap, topic) as load:
        async with MEMBERS[stays](embedded_kafka, topic, group) as first:
            await has_seen(first, 300)
            async with MEMBERS[comes](embedded_kafka, topic, group) as second:
                await has_seen(second, 300)
                await has_seen(first, len(first.seen) + 300)
            await has_seen(first, len(first.seen) + 300)
            sent = await load.finish()
            await until(lambda: sent <= {*first.seen, *second.seen}, within_s=60.0)
    times = Counter(first.seen + second.seen)
    assert set(times) == sent
    assert [value for value, count in times.items() if count > 1] == []


@pytest.mark.parametrize(
    ("stays", "comes"),
    [
        ("aiokafka", "librdkafka-range"),
        pytest.param("aiokafka", "librdkafka-cooperative", marks=pytest.mark.soak),
        pytest.param("librdkafka-range", "aiokafka", marks=pytest.mark.soak),
    ],
)
async def test_members_without_a_common_assignor_are_a_clear_error(
    embedded_kafka: EmbeddedKafka, stays: str, comes: str
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("mixed"), PARTITIONS)
    group = unique("group")
    async with MEMBERS[stays](embedded_kafka, topic, group):
        with pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match="shares no assignor")):
            async with MEMBERS[comes](embedded_kafka, topic, group):
                pytest.fail("entered")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("stays", "comes"), [("aiokafka", "librdkafka"), ("librdkafka", "aiokafka")]
)
async def test_a_group_that_may_not_change_its_protocol_is_a_clear_error(
    stays: str, comes: str
) -> None:
    async with EmbeddedKafka(properties={"group.consumer.migration.policy": "disabled"}) as kafka:
        topic = await create_topic(kafka.bootstrap_servers, unique("mixed"), PARTITIONS)
        group = unique("group")
        async with MEMBERS[stays](kafka, topic, group):
            with pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match="migration.policy")):
                async with MEMBERS[comes](kafka, topic, group):
                    pytest.fail("entered")


async def has_seen(member: Member, count: int) -> None:
    await until(lambda: len(member.seen) >= count, within_s=60.0)
