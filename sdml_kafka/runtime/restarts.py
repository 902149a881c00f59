"""How a supervisor restarts its children, as data."""

import math
from typing import Literal, get_args

from attrs import frozen

RestartType = Literal["permanent", "transient", "temporary"]
"""A child's type: it is started again whenever it has ended, only after a failure, or never."""

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""The children that are restarted when one fails: itself, all, or itself and all after it."""


def check_choice(name: str, value: str, choices: object) -> None:
    """Raise `ValueError` unless `value` is one of the `Literal` `choices`."""
    if value not in get_args(choices):
        allowed = ", ".join(map(repr, get_args(choices)))
        raise ValueError(f"{name} must be one of {allowed}, not {value!r}")


def check_seconds(name: str, value: float) -> None:
    """Raise `ValueError` unless `value` is a finite number of seconds, 0 or more."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of seconds, 0 or more, not {value!r}")


@frozen
class Restarts:
    """The limits and delays with which a supervisor restarts its children.

    Raises:
        ValueError: A value is out of its range.
    """

    max_restarts: int = 5
    """The most restarts in any window, of all children together; one more fails the supervisor."""
    window_s: float = 60.0
    """Seconds of the window. A child that was ready for so long starts over with `backoff_s`."""
    backoff_s: float = 0.1
    """Seconds before the first restart; they double with each further one."""
    backoff_max_s: float = 5.0
    """The most seconds before a restart, jitter included."""
    jitter: float = 0.2
    """The part, from 0 to 1, by which chance makes each delay shorter or longer at most."""

    def __attrs_post_init__(self) -> None:
        if self.max_restarts < 0:
            raise ValueError(f"max_restarts must be 0 or more, not {self.max_restarts!r}")
        check_seconds("window_s", self.window_s)
        check_seconds("backoff_s", self.backoff_s)
        check_seconds("backoff_max_s", self.backoff_max_s)
        if self.backoff_max_s < self.backoff_s:
            raise ValueError(
                f"backoff_max_s ({self.backoff_max_s!r}) must not be less than "
                f"backoff_s ({self.backoff_s!r})"
            )
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, not {self.jitter!r}")
