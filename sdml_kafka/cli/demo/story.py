"""What happened, line by line, and the clock that it is told by."""

from collections.abc import Callable

import anyio

from sdml_kafka.cli.demo.scene import Line
from sdml_kafka.runtime import ActorCrashed, ActorRestarting, ActorStarted, Event, SupervisorGaveUp


class Story:
    def __init__(self, on_line: Callable[[Line], None]) -> None:
        self.lines: list[Line] = []
        self._on_line = on_line
        self._zero: float | None = None
        self._crashed: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """The clock starts now."""
        self._zero = anyio.current_time()

    def now_s(self) -> float:
        return 0.0 if self._zero is None else anyio.current_time() - self._zero

    async def sleep_until(self, at_s: float) -> None:
        await anyio.sleep(max(0.0, at_s - self.now_s()))

    def tell(self, text: str, tone: str = "plain") -> None:
        line = Line(self.now_s(), text, tone)
        self.lines.append(line)
        self._on_line(line)

    def tell_event(self, member: str, event: Event) -> None:
        """What a supervision tree reports: who crashed, and when that one is back. What is
        restarted along with it shows in the tree."""
        match event:
            case ActorCrashed():
                self._crashed.add((member, event.name))
                self.tell(f"{member}: {event.name} crashed ({event.error})", "bad")
            case ActorRestarting() if (member, event.name) in self._crashed:
                delay_ms = event.delay_s * 1000
                self.tell(f"{member}: its supervisor restarts it in {delay_ms:.0f} ms")
            case ActorStarted() if (member, event.name) in self._crashed:
                self._crashed.discard((member, event.name))
                self.tell(f"{member}: {event.name} runs again", "good")
            case SupervisorGaveUp():
                self.tell(f"{member}: gave up ({event.error})", "bad")
            case _:
                pass
