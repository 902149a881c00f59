"""Carries out the plan, and waits until everything has settled."""

import anyio
import anyio.abc

from sdml_kafka.cli.demo.books.call_book import CallBook
from sdml_kafka.cli.demo.books.causes import Cause
from sdml_kafka.cli.demo.books.record_book import Disturbance, RecordBook
from sdml_kafka.cli.demo.clock import DemoClock
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.participants.cast import Cast
from sdml_kafka.cli.demo.plan import Act, Plan, Step
from sdml_kafka.plurals import counted
from sdml_kafka.testing import EmbeddedKafka

SETTLE_TIMEOUT_S = 30.0
CHECK_EVERY_S = 0.05


class Director:
    """Directs the participants: the first listener crashes; the last one leaves and returns."""

    def __init__(
        self,
        plan: Plan,
        cast: Cast,
        record_book: RecordBook,
        call_book: CallBook,
        clock: DemoClock,
        log: EventLog,
        kafka: EmbeddedKafka | None,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self.plan = plan
        self.broker_is_up: bool = True
        self._steps_done = 0
        self._cast = cast
        self._record_book = record_book
        self._call_book = call_book
        self._clock = clock
        self._log = log
        self._kafka = kafka
        self._tasks = tasks

    @property
    def next_step(self) -> Step | None:
        """The step that is under way or comes next; None when all steps are done."""
        return self.plan.next_step(self._steps_done)

    async def gather(self) -> None:
        """Let all participants join."""
        async with anyio.create_task_group() as joins:
            for participant in self._cast.all():
                joins.start_soon(participant.join, self._tasks)

    async def play(self) -> None:
        """Carry out the plan; return when the last record may be sent."""
        self._clock.start()
        self._cast.client.begin()
        self._log.add("records begin to flow, calls are made")
        self._tasks.start_soon(self._cast.cashier.run)
        if self._kafka is None:
            self._log.add("this broker is not the demo's own, so it will not be restarted")
        while (step := self.next_step) is not None:
            await self._clock.sleep_until(step.at_s)
            await self._do(step.act)
            self._steps_done += 1
        await self._clock.sleep_until(self.plan.seconds)

    async def settle(self) -> None:
        """Wait until every record is finished and every call has settled.

        The wait for the records is bounded, because a record may be lost.
        """
        self._log.add(f"{counted(self._record_book.sent_count, 'record')} sent and acknowledged")
        with anyio.move_on_after(SETTLE_TIMEOUT_S):
            while not self._record_book.is_settled():  # noqa: ASYNC110  (the book has no event)
                await anyio.sleep(CHECK_EVERY_S)
            self._log.add("all of them finished", "good")
            await self._cast.cashier.wait_ended()
        await self._cast.client.leave()
        calls = counted(self._call_book.settled_count, "call")
        self._log.add(f"{calls} settled; the client has left")

    async def dismiss(self) -> None:
        """Let all participants leave that are still there."""
        async with anyio.create_task_group() as leaves:
            for participant in self._cast.all():
                leaves.start_soon(participant.leave)
            leaves.start_soon(self._cast.cashier.leave)
        self._log.add("listeners and servers have left")

    async def _do(self, act: Act) -> None:
        first, last = self._cast.listeners[0], self._cast.listeners[-1]
        server = self._cast.servers[-1]
        match act:
            case Act.LISTENER_LEAVES:
                self._log.add(f"{last.name} leaves the group", "bad")
                await last.leave()
            case Act.LISTENER_RETURNS:
                self._log.add(f"{last.name} comes back", "good")
                await last.join(self._tasks)
            case Act.SERVER_LEAVES:
                self._log.add(f"{server.name} leaves: it answers what it has, the other goes on")
                await server.leave()
            case Act.SERVER_RETURNS:
                self._log.add(f"{server.name} comes back", "good")
                await server.join(self._tasks)
            case Act.ACTOR_CRASHES:
                self._log.add(f"{first.name}: the next poll is made to fail", "bad")
                first.crash()
            case Act.BROKER_RESTARTS:
                await self._restart_broker()

    async def _restart_broker(self) -> None:
        assert self._kafka is not None
        since_s = self._clock.now_s()
        self._record_book.add_disturbance(Disturbance(Cause.BROKER, None, since_s))
        self._call_book.broker_stopped(since_s)
        self._log.add("the broker goes down", "bad")
        self.broker_is_up = False
        await self._kafka.stop_async()
        self._log.add("the broker is gone; all wait for it")
        await self._kafka.restart_async()
        self.broker_is_up = True
        self._call_book.broker_returned(self._clock.now_s())
        self._log.add(f"the broker is back after {self._clock.now_s() - since_s:.1f} s", "good")
