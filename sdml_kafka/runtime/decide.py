"""Restart decisions, pure: time and randomness are passed in."""

from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from sdml_kafka.runtime.spec import Restarts, RestartType, Strategy

Standing = Literal["up", "down", "done"]
"""A child has a task; or has none, and should have; or has none, and needs none any more."""

_MAX_DOUBLINGS = 64  # enough to reach any backoff_max_s, and no float overflows


@frozen
class Member:
    """What a plan needs to know of one child."""

    restart: RestartType
    standing: Standing


@frozen
class Plan:
    """Which children to stop, and then which to start: indices, each in the order to follow."""

    stop: tuple[int, ...]
    start: tuple[int, ...]


def wants_restart(restart: RestartType, *, failed: bool) -> bool:
    """Whether a child that ended by itself is to be started again."""
    return restart == "permanent" or (restart == "transient" and failed)


def next_to_mend(strategy: Strategy, down: Sequence[int]) -> int:
    """Which of the failed children, given in the order they failed in, is seen to first.

    With rest-for-one it is the one started first: its restart covers those that depend on it,
    and none of them is started while what it depends on is down.
    """
    return min(down) if strategy == "rest_for_one" else down[0]


def plan_restart(strategy: Strategy, members: Sequence[Member], failed: int) -> Plan:
    """What is to be done about the child with index `failed`, which wants a restart.

    Siblings that are done stay so, and temporary ones are stopped but not started again.
    """
    match strategy:
        case "one_for_one":
            concerned = range(failed, failed + 1)
        case "one_for_all":
            concerned = range(len(members))
        case "rest_for_one":
            concerned = range(failed, len(members))

    def starts(index: int) -> bool:
        member = members[index]
        return index == failed or (member.standing != "done" and member.restart != "temporary")

    return Plan(
        stop=tuple(i for i in reversed(concerned) if members[i].standing == "up" and i != failed),
        start=tuple(i for i in concerned if starts(i)),
    )


def admit_restart(
    restarted_at: Sequence[float], now: float, restarts: Restarts
) -> tuple[float, ...] | None:
    """Whether one more restart is allowed at `now`.

    `restarted_at` holds the times of earlier ones, as this function returned them. Returns the
    times to remember, `now` included, or None if there were `max_restarts` within `window_s`.
    """
    recent = tuple(at for at in restarted_at if now - at <= restarts.window_s)
    return (*recent, now) if len(recent) < restarts.max_restarts else None


def count_attempt(attempt: int, up_s: float, restarts: Restarts) -> int:
    """The number of the restart that follows number `attempt`, after the child was ready `up_s`.

    It counts from 1 again once the child has been ready for a whole window.
    """
    return 1 if up_s >= restarts.window_s else attempt + 1


def backoff_s(attempt: int, chance: float, restarts: Restarts) -> float:
    """The delay before restart number `attempt` (from 1), with `chance` from 0 to 1."""
    doubled = restarts.backoff_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)
    base = min(doubled, restarts.backoff_max_s)
    return min(base * (1 + restarts.jitter * (2 * chance - 1)), restarts.backoff_max_s)
