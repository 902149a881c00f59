"""Whatever is done to its groups, the in-memory broker comes to rest with everything read."""

from contextlib import AsyncExitStack, suppress
from typing import Any

import anyio
import pytest
import trio
from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from sdml_kafka.errors import CommitFailed
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from tests.support.contracts.consumer_world import Seat, poll_until, releasing, seat, share_out

PARTITIONS = [TopicPartition("orders", number) for number in range(3)]
MEMBERS = 3

OF_THE_BROKER = ["produce", "rebalance", "down", "up", "hold", "let go", "wait", "join"]
OF_A_MEMBER = ["poll", "commit", "hand over", "expel", "leave"]
OPERATIONS = st.sampled_from(OF_THE_BROKER + OF_A_MEMBER)
STEPS = st.lists(st.tuples(OPERATIONS, st.integers(0, MEMBERS - 1)), max_size=40)


@define
class Chaos:
    broker: MemoryBroker
    seats: dict[int, tuple[Seat, AsyncExitStack]] = field(factory=dict)
    produced: int = 0

    async def play(self, operation: str, number: int) -> None:
        match operation:
            case "produce":
                self.broker.produce("orders", b"%d" % self.produced)
                self.produced += 1
            case "rebalance":
                self.broker.rebalance("group")
            case "down":
                self.broker.down()
            case "up":
                self.broker.up()
            case "hold":
                self.broker.hold_commits()
            case "let go":
                self.broker.release_commits()
            case "wait":
                await anyio.sleep(number * 4.0)
            case "join":
                self.broker.up()
                await self.join(number)
            case _ if number in self.seats:
                await self.play_member(operation, number)
            case _:
                pass

    async def join(self, number: int) -> None:
        if number not in self.seats:
            stack = AsyncExitStack()
            connect = self.broker.connect("group", auto_offset_reset="earliest")
            self.seats[number] = await stack.enter_async_context(seat(connect, "orders")), stack

    async def play_member(self, operation: str, number: int) -> None:
        member, stack = self.seats[number]
        match operation:
            case "poll":
                await member.poll()
            case "commit":
                await self.commit_all(member)
            case "hand over":
                with anyio.move_on_after(0.1):
                    revocation = await member.consumer.revocation()
                    member.note_revoked(revocation)
                    revocation.release()
            case "expel":
                if name := self.name_inside(member):
                    self.broker.expel(name, unnoticed_for_s=1.0)
            case _:
                del self.seats[number]
                await stack.aclose()

    def name_inside(self, member: Seat) -> str | None:
        name = getattr(member.consumer, "member_id", "")
        return name if name in self.broker.members("group") else None

    async def commit_all(self, member: Seat) -> None:
        read = {tp: Commit(batch[-1].offset + 1) for tp, batch in member.records.items() if batch}
        if read:
            with suppress(CommitFailed):
                await member.consumer.commit(member.last_epoch, read, 0.5)

    def partitions_have_one_owner(self) -> None:
        owned = [each for held in self.broker.members("group").values() for each in held]
        assert len(owned) == len(set(owned))

    async def come_to_rest(self) -> None:
        self.broker.up()
        self.broker.release_commits()
        await self.join(0)
        members = [member for member, _ in self.seats.values()]
        async with releasing(*members):
            await anyio.sleep(15.0)  # sessions of those who died run out, expulsions are noticed
            for member in members:
                await member.poll()
            await share_out(len(PARTITIONS), *members)
            for partition in PARTITIONS:
                await self.read_to_the_end(partition, members)
            for member in members:
                await self.commit_all(member)
        for _, stack in self.seats.values():
            await stack.aclose()

    async def read_to_the_end(self, partition: TopicPartition, members: list[Seat]) -> None:
        (owner,) = [member for member in members if partition in member.partitions]
        assert owner.assignment is not None
        start = owner.assignment.positions[partition]
        end = self.broker.end_offset(partition)
        await poll_until(lambda: len(owner.values(partition)) == end - start, *members)


@pytest.mark.parametrize("rebalances", ["eager", "incremental"])
@given(steps=STEPS)
# A member that was expelled released and joined anew before it would have noticed.
@example([("join", 1), ("rebalance", 0), ("expel", 1), ("hand over", 1), ("poll", 1)])
@settings(max_examples=60, deadline=None)
def test_chaos_comes_to_rest(rebalances: Any, steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        chaos = Chaos(MemoryBroker({"orders": len(PARTITIONS)}, rebalances=rebalances))
        for operation, number in steps:
            await chaos.play(operation, number)
            chaos.partitions_have_one_owner()
        await chaos.come_to_rest()
        for partition in PARTITIONS:
            end = chaos.broker.end_offset(partition)
            assert (chaos.broker.committed("group", partition) or 0) == end

    # Not through anyio, whose older versions do not pass the clock on.
    trio.run(run, clock=MockClock(autojump_threshold=0))
