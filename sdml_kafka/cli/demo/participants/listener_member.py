"""A member of the listener group: a KafkaListener, and the loops over its stream."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager

import anyio

from sdml_kafka import AutoCommit, KafkaListener, ListenerStatus, TopicPartition, TypeStream
from sdml_kafka.cli.demo.books.causes import Cause
from sdml_kafka.cli.demo.books.record_book import Disturbance, Finish, Holder, RecordBook
from sdml_kafka.cli.demo.clock import DemoClock
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.load.orders import Order, parse_order
from sdml_kafka.cli.demo.participants.failing_poll import FailingPoll
from sdml_kafka.cli.demo.participants.participant import Participant
from sdml_kafka.runtime import ActorCrashed, ActorSnapshot, Event
from sdml_kafka.transport.interfaces.consumer import Connect

LOOPS = 4
WORK_S = 0.002
"""Seconds of work for each order, so that one member alone keeps up, but only just."""


class ListenerMember(Participant):
    _active_state = "in the group"

    def __init__(
        self,
        name: str,
        connect: Connect,
        topic: str,
        book: RecordBook,
        clock: DemoClock,
        log: EventLog,
        on_failure: Callable[[Exception], None],
    ) -> None:
        super().__init__(name, on_failure)
        self._transport = FailingPoll(connect)
        self._topic = topic
        self._book = book
        self._clock = clock
        self._log = log
        self._listener: KafkaListener | None = None
        self._assignment = 0

    def crash(self) -> None:
        """Let the next poll fail, so that the consumer loop crashes."""
        self._transport.fail_next_poll()

    def status(self) -> ListenerStatus | None:
        """Return the listener's status, None while the member is away."""
        return None if self._listener is None else self._listener.status()

    def observed(self) -> KafkaListener | None:
        return self._listener

    def _tree(self) -> ActorSnapshot | None:
        status = self.status()
        return None if status is None else status.tree

    def _partition_count(self) -> int:
        status = self.status()
        return 0 if status is None else len(status.partitions)

    @asynccontextmanager
    async def _taking_part(self) -> AsyncGenerator[None]:
        try:
            # Leaving the listener ends its stream, and with it the loops, so they are left last.
            async with anyio.create_task_group() as loops, self._new_listener() as listener:
                stream = await listener.subscribe(Order)
                for _ in range(LOOPS):
                    loops.start_soon(self._work, stream)
                yield
        finally:
            self._listener = None

    def _new_listener(self) -> KafkaListener:
        self._listener = KafkaListener(
            [{"topics": [self._topic], "type": Order, "parser": parse_order}],
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
            self._book.add_finished(order.id, Finish(order.place, holder, self._clock.now_s()))

    def on_partitions_assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._assignment += 1
        numbers = " ".join(str(number) for _, number in sorted(partitions)) or "none"
        self._log.add(f"{self.name}: reads partitions {numbers}")

    def on_partitions_revoked(self, partitions: Collection[TopicPartition]) -> None:
        pass  # the assignment that follows says enough

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ActorCrashed):
            now_s = self._clock.now_s()
            self._book.add_disturbance(Disturbance(Cause.CRASH, self.name, now_s, now_s))
        self._log.add_actor_event(self.name, event)
