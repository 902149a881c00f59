"""The book of the records: what was sent, what was finished, and why any record came twice."""

from collections import Counter

from attrs import define, field, frozen

from sdml_kafka.cli.demo.books.causes import Cause


@frozen
class Place:
    """Where in Kafka a record is."""

    partition: int
    offset: int


@frozen
class Holder:
    """The reader of a record: a member of the group, in its n-th assignment."""

    member: str
    assignment: int


@frozen
class Finish:
    """Where, by whom and when a record was finished."""

    place: Place
    holder: Holder
    at_s: float


@frozen
class Disturbance:
    """An event that may make records come again."""

    cause: Cause
    member: str | None
    """The member whose records may come again; None for all members."""
    since_s: float
    until_s: float = float("inf")


@frozen
class Repeat:
    """A record that was finished twice."""

    order: str
    cause: Cause
    first: Finish
    again: Finish


@frozen
class RecordBalance:
    """The totals of the book."""

    sent: int
    finished: int
    lost: int
    """The number of records that the broker acknowledged and nobody finished."""
    unacknowledged: int
    """The number of records that were finished, though their acknowledgement never arrived."""
    repeats: dict[Cause, int]

    @property
    def holds(self) -> bool:
        """True if records were sent, none was lost, and every repeat has a cause."""
        return self.sent > 0 and self.lost == 0 and self.repeats[Cause.UNEXPLAINED] == 0


@define
class RecordBook:
    """Every record, by the id of its order."""

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

    def add_sent(self, order: str) -> None:
        """Enter a record that the broker has acknowledged."""
        self._sent.add(order)

    def add_finished(self, order: str, finish: Finish) -> None:
        """Enter a record that a listener's loop has finished, for the first time or again."""
        first = self._finished.setdefault(order, finish)
        if first is not finish:
            self.repeats.append(Repeat(order, self._cause(first, finish), first, finish))

    def add_disturbance(self, disturbance: Disturbance) -> None:
        """Enter an event that may make records come again."""
        self._disturbances.append(disturbance)

    def is_settled(self) -> bool:
        """Return whether every record that was sent is finished."""
        return len(self._finished) >= len(self._sent) and self._finished.keys() >= self._sent

    def lost(self) -> list[str]:
        """Return the orders that were sent and never finished."""
        return sorted(self._sent - self._finished.keys())

    def balance(self) -> RecordBalance:
        """Return the totals as they are now."""
        causes = Counter(repeat.cause for repeat in self.repeats)
        return RecordBalance(
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
            # Within one assignment a member reads a partition once, so nothing explains this.
            return Cause.UNEXPLAINED
        for disturbance in self._disturbances:
            if (
                disturbance.member in (None, first.holder.member)
                and disturbance.since_s <= again.at_s
                and disturbance.until_s >= first.at_s
            ):
                return disturbance.cause
        return Cause.REBALANCE
