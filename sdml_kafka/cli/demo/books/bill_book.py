"""The book of the bills: what was sent, what was handled and in which order, what has failed."""

from attrs import define, field


@define
class BillBook:
    """Every bill, by its number; those of a customer have rising numbers."""

    sent: int = field(default=0, init=False)
    most_at_once: int = field(default=0, init=False)
    """The most bills that were in hand at one moment."""
    handled: set[int] = field(factory=set[int], init=False)
    dead_letters: set[int] = field(factory=set[int], init=False)
    """The bills that were read from the topic of the dead letters."""
    replayed: set[int] = field(factory=set[int], init=False)
    """The dead letters that were sent anew, and paid then."""
    retried: set[int] = field(factory=set[int], init=False)
    out_of_order: set[int] = field(factory=set[int], init=False)
    """The bills that were begun after a later one, or beside another one, of their customer."""
    _begun: set[int] = field(factory=set[int], init=False)
    _last: dict[str, int] = field(factory=dict[str, int], init=False)
    _in_hand: dict[str, int] = field(factory=dict[str, int], init=False)

    def begin(self, customer: str, number: int, attempt: int) -> None:
        """Enter a bill that is in hand from now on."""
        if attempt > 1:
            self.retried.add(number)
        # A bill that comes again after an outage is no news.
        is_new = number not in self._begun
        if customer in self._in_hand or (is_new and number < self._last.get(customer, 0)):
            self.out_of_order.add(number)
        self._begun.add(number)
        self._last[customer] = max(number, self._last.get(customer, 0))
        self._in_hand[customer] = number
        self.most_at_once = max(self.most_at_once, len(self._in_hand))

    def end(self, customer: str) -> None:
        """Enter that a customer's bill is in hand no more."""
        self._in_hand.pop(customer, None)

    @property
    def missing(self) -> int:
        """The number of bills that were sent, and are neither handled nor paid as dead letters."""
        return self.sent - len(self.handled | self.replayed)

    @property
    def holds(self) -> bool:
        """True if each bill was handled or was a dead letter, never both, and none overtook."""
        is_split = not self.missing and not self.handled & self.dead_letters
        is_split = is_split and self.replayed == self.dead_letters
        return is_split and not self.out_of_order
