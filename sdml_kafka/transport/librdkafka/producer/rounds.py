"""Choose when records are handed to librdkafka, and to which of two producers.

How this works
--------------
An idempotent producer of librdkafka sends nothing more of a partition while five of its records are
on their way, and if others wait for that, it asks for the answer again and again without a pause: a
processor is busy with nothing else. It also sends the first record of a burst alone, unless
`linger.ms` lets it wait, for a millisecond at least. So:

- A record is handed over at once while fewer than `MOST_ALONE` are on their way. With one call at a
  time nothing waits for anything.
- What comes meanwhile is held back until all of those have their outcome, and then goes together,
  over a second producer that waits for a millisecond. So each round is one request for a partition.
- Where too many are held back, or an answer takes too long, they are handed over all the same.

Rules for whoever edits this file:

- The producer changes only while nothing is on its way, since that keeps the order.
- Somebody has to see the end of each round: `reports_all` is set before the first record is held.
"""

from collections.abc import Callable
from math import inf
from time import monotonic

from sdml_kafka.transport.librdkafka.options import ID, Settings
from sdml_kafka.transport.librdkafka.producer.delivery_reports import ReportingProducer

MOST_ALONE = 4
MOST_HELD = 500
PATIENCE_S = 0.2
"""Seconds that records are held back at most."""
FREE_S = 2.0
"""Seconds for which none are held back once an answer has taken too long, as in an outage."""
LINGER_MS = 1

Make = Callable[[Settings], ReportingProducer]


class Rounds:
    """The two producers of one `Sending`."""

    def __init__(self, make: Make, settings: Settings) -> None:
        """Make the first producer; the second one is made for the first round."""
        self._make = make
        self._settings = settings
        self._alone = make(settings)
        self._together: ReportingProducer | None = None
        self.current: ReportingProducer = self._alone
        self._most: float = MOST_ALONE if _has_rounds(settings) else inf
        self.most: float = self._most
        """The number of records on their way from which on others are held back."""
        self._held_at = self._free_until = 0.0
        self._is_flushing = False

    @property
    def clients(self) -> list[ReportingProducer]:
        """The producers that there are."""
        return [self._alone] if self._together is None else [self._alone, self._together]

    @property
    def unasked(self) -> int:
        """The number of records that were acknowledged whose senders need not know."""
        return sum(each.unasked for each in self.clients)

    def begin(self) -> bool:
        """Return whether a record is to be held back, the first one of a round."""
        self.report_all(is_flushing=self._is_flushing, is_holding=True)
        self._held_at = monotonic()
        # Of the last two one may have been counted already without a report.
        return self.current.outstanding() > 1

    def may_end(self, count: int) -> bool:
        """Return whether so many records that are held back are to be handed over now."""
        now = monotonic()
        if now >= self._free_until:
            self.most = self._most
        if not self.current.outstanding():
            self._choose(count)
        elif count < MOST_HELD:
            if not count or now < self._held_at + PATIENCE_S:
                return False
            self.most, self._free_until = inf, now + FREE_S
        return True

    def _choose(self, count: int) -> None:
        if count > MOST_ALONE and self._most != inf:
            if self._together is None:
                self._together = self._make({**self._settings, "linger.ms": LINGER_MS})
            self.current = self._together
        else:
            self.current = self._alone

    def end(self) -> None:
        """Note that nothing is held back any more."""
        self.report_all(is_flushing=self._is_flushing, is_holding=self.most > self._most)

    def report_all(self, *, is_flushing: bool, is_holding: bool) -> None:
        """Have all records reported, if somebody waits for that."""
        self._is_flushing = is_flushing
        for each in self.clients:
            each.reports_all = is_flushing or is_holding


def _has_rounds(settings: Settings) -> bool:
    """Return whether records are held back at all.

    A transaction has one producer, and whoever has chosen to linger has chosen another way.
    """
    if settings["linger.ms"] != 0 or {"queue.buffering.max.ms", ID} & settings.keys():
        return False
    return settings["enable.idempotence"] in (True, "true")
