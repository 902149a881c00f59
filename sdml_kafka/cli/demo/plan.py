"""The plan of the demo: what happens, and when."""

from enum import StrEnum

from attrs import frozen


class Act(StrEnum):
    LISTENER_LEAVES = "listener leaves"
    SERVER_LEAVES = "server leaves"
    LISTENER_RETURNS = "listener returns"
    SERVER_RETURNS = "server returns"
    ACTOR_CRASHES = "actor crashes"
    BROKER_RESTARTS = "broker restarts"


@frozen
class Step:
    at_s: float
    """Seconds after the first record; later if the step before takes that long."""
    act: Act


@frozen
class Plan:
    steps: tuple[Step, ...]
    seconds: float
    """The seconds for which records are sent."""

    def next_step(self, done: int) -> Step | None:
        """Return the step that follows when `done` steps are done, None when there is none."""
        return self.steps[done] if done < len(self.steps) else None


_WITH_BROKER = (
    (0.14, Act.LISTENER_LEAVES),
    (0.24, Act.SERVER_LEAVES),
    (0.34, Act.LISTENER_RETURNS),
    (0.42, Act.SERVER_RETURNS),
    (0.52, Act.ACTOR_CRASHES),
    (0.65, Act.BROKER_RESTARTS),
)
_WITHOUT_BROKER = (
    (0.15, Act.LISTENER_LEAVES),
    (0.3, Act.SERVER_LEAVES),
    (0.45, Act.LISTENER_RETURNS),
    (0.55, Act.SERVER_RETURNS),
    (0.7, Act.ACTOR_CRASHES),
)


def make_plan(seconds: float, *, owns_broker: bool) -> Plan:
    """Return the plan of a demo of that length; a broker is restarted only if the demo owns it."""
    shares = _WITH_BROKER if owns_broker else _WITHOUT_BROKER
    return Plan(tuple(Step(share * seconds, act) for share, act in shares), seconds)
