"""Restart decisions as pure functions: time and chance are passed in."""

from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from sdml_kafka.runtime.restarts import Restarts, RestartType, Strategy

Standing = Literal["up", "down", "done"]
"""A child's standing: it has a task, lacks the one that it should have, or needs none any more."""

_MAX_DOUBLINGS = 64  # these reach any backoff_max_s, and no float overflows


@frozen
class Member:
    """One child, as far as a restart plan needs to know it."""

    restart: RestartType
    standing: Standing


@frozen
class Plan:
    """The indices of the children to stop, and then to start, each in the order to follow."""

    stop: tuple[int, ...]
    start: tuple[int, ...]


def wants_restart(restart: RestartType, *, failed: bool) -> bool:
    """Return whether a child that ended by itself is started again."""
    return restart == "permanent" or (restart == "transient" and failed)


def next_to_restart(strategy: Strategy, down: Sequence[int]) -> int:
    """Return which of the failed children, given in the order in which they failed, comes first.

    With rest-for-one that is the child started first: its restart covers the children that
    depend on it, and none of them is started while what it depends on is down.
    """
    return min(down) if strategy == "rest_for_one" else down[0]


def plan_restart(strategy: Strategy, members: Sequence[Member], failed: int) -> Plan:
    """Return the plan for restarting the child with index `failed`.

    Siblings that are done stay so, and temporary siblings are stopped but not started again.
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
    """Return the times of restarts to remember, `now` included, if one more is allowed.

    Return None if there were `max_restarts` within `window_s`. `restarted_at` holds the times of
    earlier restarts, as this function returned them.
    """
    recent = tuple(at for at in restarted_at if now - at <= restarts.window_s)
    return (*recent, now) if len(recent) < restarts.max_restarts else None


def count_attempt(attempt: int, up_s: float, restarts: Restarts) -> int:
    """Return the number of the restart that follows number `attempt`.

    It is 1 again if the child has been ready for a whole window, `up_s` being the seconds.
    """
    return 1 if up_s >= restarts.window_s else attempt + 1


def backoff_s(attempt: int, chance: float, restarts: Restarts) -> float:
    """Return the seconds before restart number `attempt` (from 1), with `chance` from 0 to 1."""
    doubled = restarts.backoff_s * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS)
    base = min(doubled, restarts.backoff_max_s)
    return min(base * (1 + restarts.jitter * (2 * chance - 1)), restarts.backoff_max_s)
