"""When to commit: after every n finished records, after an interval, whichever comes first."""

from typing import TypedDict

from attrs import define, field, frozen

from sdml_kafka.errors import ConfigurationError


@frozen
class AutoCommit:
    """Commit after `every` finished records, or `interval_s` seconds, whichever comes first.

    Either may be None, not both.

    Raises:
        ValueError: Both are None, or one is out of its bounds.
    """

    every: int | None = None
    """The number of finished records after which a commit is due."""
    interval_s: float | None = None
    """Seconds after which a commit is due."""

    def __attrs_post_init__(self) -> None:
        if self.every is None and self.interval_s is None:
            raise ValueError("auto_commit needs `every`, `interval_s` or both")
        if self.every is not None and self.every < 1:
            raise ValueError(f"auto_commit: `every` is a count of at least 1, not {self.every}")
        if self.interval_s is not None and not 0 < self.interval_s < float("inf"):
            raise ValueError(
                f"auto_commit: `interval_s` is in seconds and above 0, not {self.interval_s}"
            )


class AutoCommitDict(TypedDict, total=False):
    """The keys of `auto_commit={...}`; see `AutoCommit`."""

    every: int
    interval_s: float


def auto_commit_of(value: AutoCommit | AutoCommitDict | None) -> AutoCommit | None:
    """Return when to commit, None at the consumer's own interval; raise ConfigurationError."""
    if value is None or isinstance(value, AutoCommit):
        return value
    try:
        return AutoCommit(**value)
    except TypeError:
        raise ConfigurationError(
            f"auto_commit is {{'every': n, 'interval_s': s}}, either key alone will do, not {value}"
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{error}; either key alone will do") from error


@define
class CommitSchedule:
    """Decides when the next commit is due. Times (in seconds) and counts are passed in."""

    policy: AutoCommit | None
    now: float
    """The time of the last commit, or of the beginning."""
    finished: int = 0
    """The number of records that had finished when the last commit began."""
    _retry_at: float | None = field(default=None, init=False)

    def due_count(self) -> int | None:
        """Return the number of finished records at which a commit is due.

        None if no count asks for a commit.
        """
        if self.policy is None or self.policy.every is None or self._retry_at is not None:
            return None
        return self.finished + self.policy.every

    def due_at(self) -> float | None:
        """Return the time at which a commit is due, None if no time asks for a commit."""
        if self._retry_at is not None:
            return self._retry_at
        if self.policy is None or self.policy.interval_s is None:
            return None
        return self.now + self.policy.interval_s

    def is_due(self, now: float, finished: int) -> bool:
        """Return whether a commit is due."""
        count, at = self.due_count(), self.due_at()
        return (count is not None and finished >= count) or (at is not None and now >= at)

    def committed(self, now: float, finished: int) -> None:
        """Note a commit at `now`, when `finished` records had finished."""
        self.now, self.finished, self._retry_at = now, finished, None

    def failed(self, now: float, retry_after_s: float) -> None:
        """Note that a commit did not get through; the next is due after `retry_after_s`."""
        if self.policy is not None:
            self._retry_at = now + retry_after_s
