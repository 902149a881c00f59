"""What will happen, and when, as data. Pure."""

from enum import StrEnum

from attrs import frozen


class Act(StrEnum):
    LEAVE = "leave"
    SERVER_LEAVE = "server leave"
    RETURN = "return"
    SERVER_RETURN = "server return"
    CRASH = "crash"
    RESTART_BROKER = "restart broker"


@frozen
class Step:
    at_s: float
    """Since the first record was sent; later when the step before takes that long."""
    act: Act


@frozen
class Plan:
    steps: tuple[Step, ...]
    seconds: float
    """How long records are sent."""

    def next_step(self, done: int) -> Step | None:
        return self.steps[done] if done < len(self.steps) else None


_WITH_BROKER = (
    (0.14, Act.LEAVE),
    (0.24, Act.SERVER_LEAVE),
    (0.34, Act.RETURN),
    (0.42, Act.SERVER_RETURN),
    (0.52, Act.CRASH),
    (0.65, Act.RESTART_BROKER),
)
_WITHOUT = (
    (0.15, Act.LEAVE),
    (0.3, Act.SERVER_LEAVE),
    (0.45, Act.RETURN),
    (0.55, Act.SERVER_RETURN),
    (0.7, Act.CRASH),
)


def make_plan(seconds: float, *, owns_broker: bool) -> Plan:
    """A broker that is not the demo's own is not restarted."""
    parts = _WITH_BROKER if owns_broker else _WITHOUT
    return Plan(tuple(Step(part * seconds, act) for part, act in parts), seconds)
