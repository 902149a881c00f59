"""The state of the demo, and the scenes that are shown of it."""

import anyio

from sdml_kafka import PartitionStatus
from sdml_kafka.cli.demo.answering import Server
from sdml_kafka.cli.demo.calling import Client
from sdml_kafka.cli.demo.calls import CallBook
from sdml_kafka.cli.demo.ledger import Ledger
from sdml_kafka.cli.demo.member import Member
from sdml_kafka.cli.demo.plan import Act, Plan
from sdml_kafka.cli.demo.scene import CallsView, Meter, PartitionView, Scene
from sdml_kafka.cli.demo.show import Show
from sdml_kafka.cli.demo.story import Story

FRAME_S = 0.125

COMING = {
    Act.LEAVE: "a listener leaves",
    Act.SERVER_LEAVE: "a server leaves",
    Act.RETURN: "the listener comes back",
    Act.SERVER_RETURN: "the server comes back",
    Act.CRASH: "an actor crashes",
    Act.RESTART_BROKER: "the broker restarts",
}


class Stage:
    def __init__(self, title: str, plan: Plan, ledger: Ledger, book: CallBook, show: Show) -> None:
        self.story: Story = Story(show.line)
        self.members: list[Member] = []
        self.servers: list[Server] = []
        self.client: Client
        self.steps_done = 0
        self.broker_is_up = True
        self._title = title
        self._plan = plan
        self._ledger = ledger
        self._book = book
        self._show = show
        self._sent, self._finished, self._calls = Meter(), Meter(), Meter()
        self._partitions: dict[int, PartitionStatus] = {}

    async def keep_showing(self) -> None:
        while True:
            self.update()
            await anyio.sleep(FRAME_S)

    def update(self) -> None:
        now_s = self.story.now_s()
        self._sent.note(now_s, self._ledger.sent_count)
        self._finished.note(now_s, self._ledger.finished_count)
        self._calls.note(now_s, self._book.settled_count)
        self._show.update(self._scene(now_s))

    def _scene(self, now_s: float) -> Scene:
        return Scene(
            title=self._title,
            elapsed_s=now_s,
            seconds=self._plan.seconds,
            coming=self._coming(now_s),
            broker_is_up=self.broker_is_up,
            members=tuple(member.view() for member in self.members),
            callers=tuple(part.view() for part in (self.client, *self.servers)),
            partitions=self._partition_views(),
            sent=self._ledger.sent_count,
            finished=self._ledger.finished_count,
            sent_rate=self._sent.rate(),
            finished_rate=self._finished.rate(),
            history=self._finished.history(),
            calls=self._calls_view(now_s),
            lines=tuple(self.story.lines),
        )

    def _calls_view(self, now_s: float) -> CallsView:
        p50_ms, p99_ms = self.client.latencies.quantiles_ms(now_s, 0.5, 0.99)
        return CallsView(
            self._book.made_count, self._calls.rate(), self._book.in_flight, p50_ms, p99_ms
        )

    def _coming(self, now_s: float) -> str:
        step = self._plan.next_step(self.steps_done)
        if step is None:
            rest_s = self._plan.seconds - now_s
            return f"last record in {rest_s:.0f} s" if rest_s > 0 else "finishing the rest"
        if now_s >= step.at_s:
            return f"now: {COMING[step.act]}"
        return f"{COMING[step.act]} in {step.at_s - now_s:.0f} s"

    def _partition_views(self) -> tuple[PartitionView, ...]:
        owners: dict[int, str] = {}
        for member in self.members:
            status = member.status()
            if status is not None:
                for (_, number), partition in status.partitions.items():
                    owners[number] = member.name
                    self._partitions[number] = partition
        return tuple(
            PartitionView(number, owners.get(number), status)
            for number, status in sorted(self._partitions.items())
        )
