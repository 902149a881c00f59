"""The books of the calls: what was asked, what came back, and why anything timed out. Pure."""

from collections import Counter, deque
from math import inf

from attrs import define, field, frozen

from sdml_kafka.cli.demo.ledger import Cause

TIMED_OUT = "timed out"
RECOVERY_S = 5.0
"""How long after an outage a call may still time out because of it."""


@frozen
class CallBalance:
    """The outcome."""

    made: int
    right: int
    """Got the reply to what they asked."""
    wrong: int
    """Got another reply."""
    failures: dict[tuple[str, Cause], int]
    """By what came in place of a reply, and why."""

    @property
    def settled(self) -> int:
        return self.right + self.wrong + sum(self.failures.values())

    @property
    def unexplained(self) -> int:
        return sum(n for (_, cause), n in self.failures.items() if cause is Cause.UNEXPLAINED)

    @property
    def holds(self) -> bool:
        is_right = self.right > 0 and self.wrong == 0
        return is_right and self.made == self.settled and self.unexplained == 0


@define
class CallBook:
    """Every call is entered when it is made and when it settles."""

    made_count: int = field(default=0, init=False)
    wrong: list[str] = field(factory=list[str], init=False)
    _right: int = field(default=0, init=False)
    _failures: Counter[tuple[str, Cause]] = field(factory=Counter[tuple[str, Cause]], init=False)
    _outages: list[tuple[float, float]] = field(factory=list[tuple[float, float]], init=False)

    @property
    def settled_count(self) -> int:
        return self._right + len(self.wrong) + self._failures.total()

    @property
    def in_flight(self) -> int:
        return self.made_count - self.settled_count

    def made(self) -> None:
        self.made_count += 1

    def replied(self, question: str, reply: bytes, expected: bytes) -> None:
        if reply == expected:
            self._right += 1
        else:
            self.wrong.append(f"to {question} came {reply[:40]!r}")

    def failed(self, outcome: str, since_s: float, now_s: float) -> None:
        """`outcome`: what it ended with."""
        self._failures[outcome, self._cause(since_s, now_s)] += 1

    def broker_is_down(self, now_s: float) -> None:
        self._outages.append((now_s, inf))

    def broker_is_back(self, now_s: float) -> None:
        since_s, _ = self._outages[-1]
        self._outages[-1] = since_s, now_s + RECOVERY_S

    def balance(self) -> CallBalance:
        return CallBalance(self.made_count, self._right, len(self.wrong), dict(self._failures))

    def _cause(self, since_s: float, now_s: float) -> Cause:
        in_outage = any(down <= now_s and until >= since_s for down, until in self._outages)
        return Cause.BROKER if in_outage else Cause.UNEXPLAINED


@define
class Latencies:
    """Of the calls that were answered lately."""

    _window_s: float = 5.0
    _most: int = 1000
    _samples: deque[tuple[float, float]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._samples = deque(maxlen=self._most)

    def note(self, now_s: float, took_s: float) -> None:
        self._samples.append((now_s, took_s))

    def quantiles_ms(self, now_s: float, *shares: float) -> list[float | None]:
        """One number for each share, 0.5 for the median; None when nothing was answered."""
        while self._samples and now_s - self._samples[0][0] > self._window_s:
            self._samples.popleft()
        took = sorted(took_s for _, took_s in self._samples)
        if not took:
            return [None] * len(shares)
        return [1000 * took[min(len(took) - 1, int(share * len(took)))] for share in shares]
