"""The books: what was sent, what was finished, and why anything came twice. Pure."""

from collections import Counter
from enum import StrEnum

from attrs import define, field, frozen


class Cause(StrEnum):
    REBALANCE = "rebalance"
    CRASH = "actor crash"
    BROKER = "broker restart"
    WRITTEN_TWICE = "written twice by its producer"
    UNEXPLAINED = "unexplained"


@frozen
class Place:
    """Where in Kafka a record is."""

    partition: int
    offset: int


@frozen
class Holder:
    """Who had a record: a member, in its n-th assignment."""

    member: str
    assignment: int


@frozen
class Finish:
    place: Place
    holder: Holder
    at_s: float


@frozen
class Disturbance:
    """Something that may make records come again, of one member or (None) of all."""

    cause: Cause
    member: str | None
    since_s: float
    until_s: float = float("inf")


@frozen
class Repeat:
    order: str
    cause: Cause
    first: Finish
    again: Finish


@frozen
class Balance:
    """The outcome."""

    sent: int
    finished: int
    lost: int
    """Acknowledged by the broker and never finished."""
    unacknowledged: int
    """Finished, though the producer never learned that the broker had them."""
    repeats: dict[Cause, int]

    @property
    def holds(self) -> bool:
        return self.sent > 0 and self.lost == 0 and self.repeats[Cause.UNEXPLAINED] == 0


@define
class Ledger:
    """Every record by its id."""

    repeats: list[Repeat] = field(factory=list[Repeat], init=False)
    _sent: set[str] = field(factory=set[str], init=False)
    _finished: dict[str, Finish] = field(factory=dict[str, Finish], init=False)
    _disturbances: list[Disturbance] = field(factory=list[Disturbance], init=False)

    @property
    def sent_count(self) -> int:
        return len(self._sent)

    @property
    def finished_count(self) -> int:
        return len(self._finished)

    def sent(self, order: str) -> None:
        """The broker has acknowledged it."""
        self._sent.add(order)

    def finished(self, order: str, finish: Finish) -> None:
        """A listener's loop is done with it, for the first time or again."""
        first = self._finished.setdefault(order, finish)
        if first is not finish:
            self.repeats.append(Repeat(order, self._cause(first, finish), first, finish))

    def disturbed(self, disturbance: Disturbance) -> None:
        self._disturbances.append(disturbance)

    def is_settled(self) -> bool:
        """Whether all that was sent is finished."""
        return len(self._finished) >= len(self._sent) and self._finished.keys() >= self._sent

    def lost(self) -> list[str]:
        return sorted(self._sent - self._finished.keys())

    def balance(self) -> Balance:
        causes = Counter(repeat.cause for repeat in self.repeats)
        return Balance(
            sent=len(self._sent),
            finished=len(self._finished.keys() & self._sent),
            lost=len(self._sent - self._finished.keys()),
            unacknowledged=len(self._finished.keys() - self._sent),
            repeats={cause: causes[cause] for cause in Cause},
        )

    def _cause(self, first: Finish, again: Finish) -> Cause:
        if first.place != again.place:
            return Cause.WRITTEN_TWICE
        if first.holder == again.holder:
            return Cause.UNEXPLAINED  # an assignment goes through a partition once
        for disturbance in self._disturbances:
            if (
                disturbance.member in (None, first.holder.member)
                and disturbance.since_s <= again.at_s
                and disturbance.until_s >= first.at_s
            ):
                return disturbance.cause
        return Cause.REBALANCE
