"""Makes happen what the plan says, and waits until everything has come to rest."""

import anyio
import anyio.abc

from sdml_kafka.cli.demo.calls import CallBook
from sdml_kafka.cli.demo.ledger import Cause, Disturbance, Ledger
from sdml_kafka.cli.demo.plan import Act, Plan
from sdml_kafka.cli.demo.stage import Stage
from sdml_kafka.testing import EmbeddedKafka

SETTLE_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.05


class Director:
    """The first member crashes; the last one leaves and comes back."""

    def __init__(
        self,
        stage: Stage,
        ledger: Ledger,
        book: CallBook,
        kafka: EmbeddedKafka | None,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._stage = stage
        self._story = stage.story
        self._ledger = ledger
        self._book = book
        self._kafka = kafka
        self._tasks = tasks

    async def gather(self) -> None:
        """All join."""
        stage = self._stage
        async with anyio.create_task_group() as joins:
            for part in (*stage.members, *stage.servers, stage.client):
                joins.start_soon(part.join, self._tasks)

    async def play(self, plan: Plan) -> None:
        self._story.begin()
        self._stage.client.begin()
        self._story.tell("records begin to flow, calls are made")
        if self._kafka is None:
            self._story.tell("this broker is not the demo's own, so it will not be restarted")
        for step in plan.steps:
            await self._story.sleep_until(step.at_s)
            await self._do(step.act)
            self._stage.steps_done += 1
        await self._story.sleep_until(plan.seconds)

    async def settle(self) -> None:
        """Until every record sent is finished, bounded, since one may be lost; and every call."""
        self._story.tell(f"{self._ledger.sent_count:,} records sent and acknowledged")
        with anyio.move_on_after(SETTLE_TIMEOUT_S):
            await self._ledger_settled()
            self._story.tell("all of them finished", "good")
        await self._stage.client.leave()
        self._story.tell(f"{self._book.settled_count:,} calls settled; the client has left")

    async def _ledger_settled(self) -> None:
        while not self._ledger.is_settled():  # noqa: ASYNC110  (the ledger is pure)
            await anyio.sleep(LOOK_EVERY_S)

    async def dismiss(self) -> None:
        """All others leave."""
        async with anyio.create_task_group() as leaves:
            for part in (*self._stage.members, *self._stage.servers):
                leaves.start_soon(part.leave)
        self._story.tell("listeners and servers have left")

    async def _do(self, act: Act) -> None:
        first, last = self._stage.members[0], self._stage.members[-1]
        server = self._stage.servers[-1]
        match act:
            case Act.LEAVE:
                self._story.tell(f"{last.name} leaves the group", "bad")
                await last.leave()
            case Act.RETURN:
                self._story.tell(f"{last.name} comes back", "good")
                await last.join(self._tasks)
            case Act.SERVER_LEAVE:
                self._story.tell(f"{server.name} leaves: answers what it has, the other goes on")
                await server.leave()
            case Act.SERVER_RETURN:
                self._story.tell(f"{server.name} comes back", "good")
                await server.join(self._tasks)
            case Act.CRASH:
                self._story.tell(f"{first.name}: the next poll is made to fail", "bad")
                first.crash()
            case Act.RESTART_BROKER:
                await self._restart_broker()

    async def _restart_broker(self) -> None:
        assert self._kafka is not None
        since_s = self._story.now_s()
        outage = Disturbance(Cause.BROKER, None, since_s)
        self._ledger.disturbed(outage)
        self._book.broker_is_down(since_s)
        self._story.tell("the broker goes down", "bad")
        self._stage.broker_is_up = False
        await self._kafka.stop_async()
        self._story.tell("the broker is gone; all wait for it")
        await self._kafka.restart_async()
        self._stage.broker_is_up = True
        self._book.broker_is_back(self._story.now_s())
        self._story.tell(f"the broker is back after {self._story.now_s() - since_s:.1f} s", "good")
