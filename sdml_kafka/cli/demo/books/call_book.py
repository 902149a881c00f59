"""The book of the calls: what was asked, what was answered, and why a call got no reply."""

from collections import Counter
from math import inf

from attrs import define, field, frozen

from sdml_kafka.cli.demo.books.causes import Cause

TIMED_OUT = "timed out"
RECOVERY_S = 5.0
"""Seconds after an outage in which a call may still time out because of it."""


@frozen
class CallBalance:
    """The numbers at the end."""

    made: int
    right: int
    """The number of calls that got the reply to what they asked."""
    wrong: int
    """The number of calls that got another reply."""
    failures: dict[tuple[str, Cause], int]
    """The number of calls without a reply, by how they ended and why."""

    @property
    def settled(self) -> int:
        return self.right + self.wrong + sum(self.failures.values())

    @property
    def unexplained(self) -> int:
        return sum(n for (_, cause), n in self.failures.items() if cause is Cause.UNEXPLAINED)

    @property
    def holds(self) -> bool:
        """True if calls were answered, all of them settled, and every failure has a cause."""
        is_right = self.right > 0 and self.wrong == 0
        return is_right and self.made == self.settled and self.unexplained == 0


@define
class CallBook:
    """Every call: it is entered when it is made, and when it settles."""

    made_count: int = field(default=0, init=False)
    wrong: list[str] = field(factory=list[str], init=False)
    """Descriptions of the wrong replies."""
    _right: int = field(default=0, init=False)
    _failures: Counter[tuple[str, Cause]] = field(factory=Counter[tuple[str, Cause]], init=False)
    _outages: list[tuple[float, float]] = field(factory=list[tuple[float, float]], init=False)

    @property
    def settled_count(self) -> int:
        return self._right + len(self.wrong) + self._failures.total()

    @property
    def in_flight(self) -> int:
        return self.made_count - self.settled_count

    def add_call(self) -> None:
        """Enter a call that is made."""
        self.made_count += 1

    def add_reply(self, question: str, reply: bytes, expected: bytes) -> None:
        """Enter a call that got a reply."""
        if reply == expected:
            self._right += 1
        else:
            self.wrong.append(f"to {question} came {reply[:40]!r}")

    def add_failure(self, outcome: str, since_s: float, now_s: float) -> None:
        """Enter a call that got no reply; `outcome` says how it ended."""
        self._failures[outcome, self._cause(since_s, now_s)] += 1

    def broker_stopped(self, now_s: float) -> None:
        """Enter the begin of an outage."""
        self._outages.append((now_s, inf))

    def broker_returned(self, now_s: float) -> None:
        """Enter the end of the outage."""
        since_s, _ = self._outages[-1]
        self._outages[-1] = since_s, now_s + RECOVERY_S

    def balance(self) -> CallBalance:
        """Return the numbers as they are now."""
        return CallBalance(self.made_count, self._right, len(self.wrong), dict(self._failures))

    def _cause(self, since_s: float, now_s: float) -> Cause:
        in_outage = any(down <= now_s and until >= since_s for down, until in self._outages)
        return Cause.BROKER if in_outage else Cause.UNEXPLAINED
