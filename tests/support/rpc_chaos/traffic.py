"""Callers that check every reply, and remember the outcome of every call."""

from collections import Counter
from collections.abc import Sequence

import anyio
from attrs import define, field

from sdml_kafka import CallTimeout, KafkaRPC, RemoteTimeout
from tests.support.rpc_chaos.fleet import Execution
from tests.support.rpc_chaos.server import answer_to
from tests.support.waiting import BUSY_S

GRACE_S = BUSY_S
"""Seconds after its deadline within which a call has to settle."""


@define(eq=False)
class Traffic:
    """Calls by `callers` tasks, which pause after each call, until `finish`."""

    rpc: KafkaRPC
    topic: str
    callers: int = 60
    pause_s: float = 0.1
    patience_s: float = 60.0
    """Seconds in which a killed server's session ends and its requests are answered."""
    brief_s: float = 0.04
    """The timeout of every `brief_every`th call; most of these time out."""
    brief_every: int = 20
    replies: dict[int, bytes] = field(factory=dict[int, bytes], init=False)
    brief_timeouts: int = field(default=0, init=False)
    timeouts: Counter[str] = field(factory=Counter[str], init=False)
    """The timeouts of patient calls, by cause."""
    wrong: list[str] = field(factory=list[str], init=False)
    settled: int = field(default=0, init=False)
    latest_s: float = field(default=-1e9, init=False)
    """Seconds after its deadline at which the latest call settled."""
    slowest_s: float = field(default=0.0, init=False)
    calls: int = field(default=0, init=False)
    _is_finishing: bool = field(default=False, init=False)
    _goals: list[tuple[int, anyio.Event]] = field(factory=list[tuple[int, anyio.Event]], init=False)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(self.callers):
                tasks.start_soon(self._caller)

    async def finish(self) -> None:
        """Make no more calls, and return when all have settled."""
        self._is_finishing = True
        await self._has_settled(self.calls)

    async def flows(self, count: int) -> None:
        """Return when `count` more calls have settled."""
        await self._has_settled(self.settled + count)

    async def _has_settled(self, count: int) -> None:
        reached = anyio.Event()
        self._goals.append((count, reached))
        self._look_at_goals()
        await reached.wait()

    def _look_at_goals(self) -> None:
        for count, reached in self._goals:
            if self.settled >= count:
                reached.set()
        self._goals = [goal for goal in self._goals if not goal[1].is_set()]

    async def _caller(self) -> None:
        while not self._is_finishing:
            self.calls += 1
            await self._call(self.calls)
            await anyio.sleep(self.pause_s)

    def is_brief(self, number: int) -> bool:
        return self.brief_every > 0 and number % self.brief_every == 0

    async def _call(self, number: int) -> None:
        timeout_s = self.brief_s if self.is_brief(number) else self.patience_s
        # Some calls share a key, which chooses the partition and says nothing about the call.
        key = b"key-%d" % (number % 7) if number % 3 == 0 else None
        began = anyio.current_time()
        try:
            self.replies[number] = await self.rpc.request(
                self.topic, b"%d" % number, req_key=key, res_timeout=timeout_s
            )
        except RemoteTimeout as error:
            self._timed_out(number, error.status)
        except CallTimeout as error:
            self._timed_out(number, type(error.__cause__).__name__)
        except Exception as error:
            self.wrong.append(f"call {number}: {error!r}")
        took_s = anyio.current_time() - began
        self.latest_s = max(self.latest_s, took_s - timeout_s)
        self.slowest_s = max(self.slowest_s, took_s)
        self.settled += 1
        self._look_at_goals()

    def _timed_out(self, number: int, cause: str) -> None:
        if self.is_brief(number):
            self.brief_timeouts += 1
        else:
            self.timeouts[cause] += 1

    def check(self, executed: Sequence[Execution]) -> None:
        """Check that every call settled in time, and that its reply comes from its own request."""
        assert self.wrong == []
        assert self.settled == self.calls
        assert self.latest_s < GRACE_S
        assert self.rpc.status().in_flight == 0
        made = {(each.value, answer_to(each.value, each.name)) for each in executed}
        swapped = {
            number: reply
            for number, reply in self.replies.items()
            if (b"%d" % number, reply) not in made
        }
        assert swapped == {}
        # No id was given to two calls.
        assert len({each.call_id for each in executed}) == len({each.value for each in executed})

    def report(self, executed: Sequence[Execution]) -> str:
        return (
            f"{self.calls} calls, {len(self.replies)} replies, {self.brief_timeouts} brief ones "
            f"timed out, {sum(self.timeouts.values())} patient ones {dict(self.timeouts)}, "
            f"{len(repeats_of(executed))} executed again, slowest {self.slowest_s:.1f} s, latest "
            f"{max(0.0, self.latest_s):.3f} s after its deadline"
        )


def repeats_of(executed: Sequence[Execution]) -> list[bytes]:
    """Return the values of the requests that were executed more than once."""
    times = Counter(each.value for each in executed)
    return [value for value, count in times.items() if count > 1]
