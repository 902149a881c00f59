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

    def begin(self) -> None:
        """The clock starts now."""
        self._zero = anyio.current_time()

    def now_s(self) -> float:
        return 0.0 if self._zero is None else anyio.current_time() - self._zero

    def tell(self, text: str, tone: str = "plain") -> None:
        line = Line(self.now_s(), text, tone)
        self.lines.append(line)
        self._on_line(line)

    def tell_event(self, member: str, event: Event) -> None:
        """What a supervision tree reports, as far as it is out of the ordinary."""
        match event:
            case ActorCrashed():
                self.tell(f"{member}: {event.name} crashed ({event.error})", "bad")
            case ActorRestarting():
                self.tell(f"{member}: {event.name} restarts in {event.delay_s * 1000:.0f} ms")
            case ActorStarted() if event.restarts:
                self.tell(f"{member}: {event.name} runs again", "good")
            case SupervisorGaveUp():
                self.tell(f"{member}: gave up ({event.error})", "bad")
            case _:
                pass
