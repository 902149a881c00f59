"""The log of the demo: what happened, in lines for people."""

from collections.abc import Callable
from typing import Literal

from attrs import frozen

from sdml_kafka.cli.demo.clock import DemoClock
from sdml_kafka.runtime import ActorCrashed, ActorRestarting, ActorStarted, Event, SupervisorGaveUp

Tone = Literal["good", "bad", "plain"]


@frozen
class LogLine:
    at_s: float
    text: str
    tone: Tone


class EventLog:
    def __init__(self, clock: DemoClock, on_line: Callable[[LogLine], None]) -> None:
        self.lines: list[LogLine] = []
        self._clock = clock
        self._on_line = on_line
        self._crashed: set[tuple[str, str]] = set()

    def add(self, text: str, tone: Tone = "plain") -> None:
        """Log that something happens now."""
        line = LogLine(self._clock.now_s(), text, tone)
        self.lines.append(line)
        self._on_line(line)

    def add_actor_event(self, participant: str, event: Event) -> None:
        """Log an event of a supervision tree when an actor crashes, is restarted or runs again.

        Actors that are restarted along with a crashed actor are not logged: the tree shows them.
        """
        match event:
            case ActorCrashed():
                self._crashed.add((participant, event.name))
                self.add(f"{participant}: {event.name} crashed ({event.error})", "bad")
            case ActorRestarting() if (participant, event.name) in self._crashed:
                delay_ms = event.delay_s * 1000
                self.add(f"{participant}: its supervisor restarts it in {delay_ms:.0f} ms")
            case ActorStarted() if (participant, event.name) in self._crashed:
                self._crashed.discard((participant, event.name))
                self.add(f"{participant}: {event.name} runs again", "good")
            case SupervisorGaveUp():
                self.add(f"{participant}: gave up ({event.error})", "bad")
            case _:
                pass
