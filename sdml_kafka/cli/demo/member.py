"""One member of the group: a KafkaListener and the loops over its stream."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager

import anyio
from attrs import frozen

from sdml_kafka import (
    AutoCommit,
    KafkaListener,
    ListenerStatus,
    TopicPartition,
    TypeStream,
)
from sdml_kafka.cli.demo.fault import FaultyTransport
from sdml_kafka.cli.demo.ledger import Cause, Disturbance, Finish, Holder, Ledger
from sdml_kafka.cli.demo.order import Order, parse_order
from sdml_kafka.cli.demo.part import Part
from sdml_kafka.cli.demo.story import Story
from sdml_kafka.runtime import ActorCrashed, ActorSnapshot, Event
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.aiokafka.factory import default_consumer_factory

LOOPS = 4
WORK_S = 0.002
"""How long an order takes: so one member alone keeps up, but not by much."""


@frozen
class Group:
    servers: str
    name: str
    topic: str


class Member(Part):
    _there = "in the group"

    def __init__(
        self,
        name: str,
        group: Group,
        ledger: Ledger,
        story: Story,
        on_failure: Callable[[Exception], None],
    ) -> None:
        super().__init__(name, on_failure)
        self._group = group
        self._ledger = ledger
        self._story = story
        # Heartbeats tell of a rebalance; the default of 3 s would make each one that long.
        options = {"auto_offset_reset": "earliest", "heartbeat_interval_ms": 300}
        self._transport = FaultyTransport(
            connect(default_consumer_factory(group.servers, group.name, options))
        )
        self._listener: KafkaListener | None = None
        self._assignment = 0

    # -- what the demo does with it ------------------------------------------------------

    def crash(self) -> None:
        self._transport.fail_next_poll()

    def status(self) -> ListenerStatus | None:
        return None if self._listener is None else self._listener.status()

    def _tree(self) -> ActorSnapshot | None:
        status = self.status()
        return None if status is None else status.tree

    def _partition_count(self) -> int:
        status = self.status()
        return 0 if status is None else len(status.partitions)

    # -- one stay in the group -----------------------------------------------------------

    @asynccontextmanager
    async def _present(self) -> AsyncGenerator[None]:
        try:
            # The loops outlive the listener: leaving it ends them.
            async with anyio.create_task_group() as loops, self._new_listener() as listener:
                stream = await listener.subscribe(Order)
                for _ in range(LOOPS):
                    loops.start_soon(self._work, stream)
                yield
        finally:
            self._listener = None

    def _new_listener(self) -> KafkaListener:
        self._listener = KafkaListener(
            [{"topics": [self._group.topic], "type": Order, "parser": parse_order}],
            transport=self._transport,
            auto_commit=AutoCommit(every=500, interval_s=0.5),
            rebalance_listener=self,
            on_event=self._on_event,
        )
        return self._listener

    async def _work(self, stream: TypeStream[Order]) -> None:
        async for order in stream:
            holder = Holder(self.name, self._assignment)
            await anyio.sleep(WORK_S)
            self._ledger.finished(order.id, Finish(order.place, holder, self._story.now_s()))

    # -- what its listener tells ---------------------------------------------------------

    def on_partitions_assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._assignment += 1
        numbers = " ".join(str(number) for _, number in sorted(partitions)) or "none"
        self._story.tell(f"{self.name}: reads partitions {numbers}")

    def on_partitions_revoked(self, partitions: Collection[TopicPartition]) -> None:
        pass  # the assignment that follows says enough

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ActorCrashed):
            now_s = self._story.now_s()
            self._ledger.disturbed(Disturbance(Cause.CRASH, self.name, now_s, now_s))
        self._story.tell_event(self.name, event)
