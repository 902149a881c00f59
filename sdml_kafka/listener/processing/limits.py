"""How many records may fail before a processor gives up: the limits of a `DeadLetter`. Pure.

A database that is down fails every record. Then the topic must not be emptied into the dead
letters. So a processor counts its failures in a row, and the records that ended lately.
"""

from collections import deque

from attrs import define, field

from sdml_kafka.listener.processing.policies import DeadLetter
from sdml_kafka.plurals import counted

LEAST_RECORDS = 10
"""Records that have to have ended before their ratio says anything."""
SLOTS = 60
"""The number of parts that a window is counted in."""


@define
class _Slot:
    until: float
    ended: int = 0
    failed: int = 0


@define
class FailureLimits:
    """Counts how records end, and says whether one more may be written to the dead letters."""

    consecutive: int = field(default=0, init=False)
    """The number of failures since a record ended well."""
    counts_good: bool = field(default=False, init=False)
    """True if it makes a difference that a record ends well."""
    _window_s: float | None = field(default=None, init=False)
    """The seconds that records are counted for, None until a policy asks for that."""
    _slots: deque[_Slot] = field(factory=deque[_Slot], init=False)
    _ended: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)

    def prepare(self, policy: object) -> None:
        """Count what ends from now on, if the policy has a limit that asks for it."""
        if isinstance(policy, DeadLetter) and policy.max_ratio is not None:
            self._window_s = max(policy.window_s, self._window_s or 0.0)
            self.counts_good = True

    def note_good(self, now: float, count: int = 1) -> None:
        """Note that records ended well."""
        self.consecutive = 0
        self.counts_good = self._window_s is not None
        if self._window_s is not None:
            self._count(now, count, 0)

    def refusal(self, policy: DeadLetter, now: float) -> str | None:
        """Count one more failure; return why it may not be written, None if it may be."""
        self.consecutive += 1
        self.counts_good = True
        if self._window_s is None:
            self.prepare(policy)
        if self._window_s is not None:
            self._count(now, 1, 1)
        if policy.max_consecutive is not None and self.consecutive > policy.max_consecutive:
            return f"{counted(self.consecutive, 'record')} failed in a row (max_consecutive)"
        if policy.max_ratio is None or self._ended < LEAST_RECORDS:
            return None
        if self._failed <= policy.max_ratio * self._ended:
            return None
        return f"{self._failed} of the last {self._ended} records failed (max_ratio)"

    def _count(self, now: float, ended: int, failed: int) -> None:
        assert self._window_s is not None
        slots = self._slots
        while slots and slots[0].until <= now - self._window_s:
            slot = slots.popleft()
            self._ended -= slot.ended
            self._failed -= slot.failed
        if not slots or slots[-1].until <= now:
            slots.append(_Slot(now + self._window_s / SLOTS))
        slots[-1].ended += ended
        slots[-1].failed += failed
        self._ended += ended
        self._failed += failed
