"""When to commit: after every n finished records, after an interval, whichever comes first."""

from attrs import define, field, frozen


@frozen
class AutoCommit:
    """Commit after `every` records finished, or `interval_s` seconds, whichever comes first.

    Either may be None, not both.
    """

    every: int | None = None
    interval_s: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.every is None and self.interval_s is None:
            raise ValueError("auto_commit needs `every`, `interval_s` or both")
        if self.every is not None and self.every < 1:
            raise ValueError(f"auto_commit: `every` is a count of at least 1, not {self.every}")
        if self.interval_s is not None and not 0 < self.interval_s < float("inf"):
            raise ValueError(
                f"auto_commit: `interval_s` is in seconds and above 0, not {self.interval_s}"
            )


@define
class CommitSchedule:
    """Tells when the next commit is due; time (seconds) and counts are passed in."""

    policy: AutoCommit | None
    now: float
    finished: int = 0
    _retry_at: float | None = field(default=None, init=False)

    def due_count(self) -> int | None:
        """The total of finished records at which a commit is due; None: no count asks for one."""
        if self.policy is None or self.policy.every is None or self._retry_at is not None:
            return None
        return self.finished + self.policy.every

    def due_at(self) -> float | None:
        """The time at which a commit is due; None: no time asks for one."""
        if self._retry_at is not None:
            return self._retry_at
        if self.policy is None or self.policy.interval_s is None:
            return None
        return self.now + self.policy.interval_s

    def is_due(self, now: float, finished: int) -> bool:
        count, at = self.due_count(), self.due_at()
        return (count is not None and finished >= count) or (at is not None and now >= at)

    def committed(self, now: float, finished: int) -> None:
        """A commit that took all that had finished by `finished` is through, or had nothing."""
        self.now, self.finished, self._retry_at = now, finished, None

    def failed(self, now: float, retry_after_s: float) -> None:
        """A commit did not get through: again after `retry_after_s`, whatever the policy."""
        if self.policy is not None:
            self._retry_at = now + retry_after_s
