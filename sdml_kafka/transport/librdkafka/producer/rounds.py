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
- While such rounds follow each other closely, no record goes ahead of its round: it waits for those
  that come in the same turn of the program's loop (`is_busy`). Those that may go to any partition
  go to one, up to `MOST_TOGETHER` of them. librdkafka sends a request for each partition, and each
  of these costs the broker, this client and whoever reads more than the records in it. So few
  records go by the second producer as well then, and others join a round as long as it waits: a
  record that goes alone is read alone, and what is sent for that goes alone again.
- Where too many are held back, or an answer takes too long, they are handed over all the same. If
  they wait for a broker that is as slow as all others, librdkafka would be busy with them and sends
  none sooner, so this takes longer while nothing is answered.

Rules for whoever edits this file:

- The producer changes only while nothing is on its way, since that keeps the order.
- Somebody has to see the end of each round: `reports_all` is set before the first record is held.
"""

from collections.abc import Callable
from math import inf
from time import monotonic

from sdml_kafka.transport.librdkafka.options import ID, TOKEN_FUNCTION, Settings
from sdml_kafka.transport.librdkafka.producer.delivery_reports import ReportingProducer

MOST_ALONE = 4
MOST_HELD = 500
PATIENCE_S = 0.2
"""Seconds that records are held back once some of those on their way have their outcome: a broker
or a partition is slower than another one."""
LONG_PATIENCE_S = 1.0
"""Seconds that records are held back at most: before that all is slow, and those that are held back
would be sent no sooner."""
FREE_S = 2.0
"""Seconds for which none are held back once an answer has taken too long, as in an outage."""
LINGER_MS = 1
OPEN_S = 0.0008
"""Seconds for which records join the round before theirs: librdkafka has not sent that by then."""
BUSY_S = 0.2
"""Seconds within which a round follows another one while there is much to send."""

Make = Callable[[Settings], ReportingProducer]


class Rounds:
    """The two producers of one `Sending`."""

    def __init__(self, make: Make, settings: Settings) -> None:
        """Make the first producer; the second one is made for the first round."""
        self._make = make
        self._settings = settings
        self._most: float = MOST_ALONE if _has_rounds(settings) else inf
        self._alone = make(settings)
        self._together: ReportingProducer | None = None
        if TOKEN_FUNCTION in settings and self._most != inf:  # which takes a second, so not later
            self._together = self._make_together()
        self.current: ReportingProducer = self._alone
        self.most: float = self._most
        """The number of records on their way from which on others are held back."""
        self.is_busy: bool = False
        """True if rounds of many records follow each other closely."""
        self._held_at = self._free_until = self._many_at = self._open_until = 0.0
        self.is_new: bool = True
        """True if what is handed over begins a round."""
        self._under_way = 0
        """The number of records on their way when the first one was held back."""
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
        self._under_way = self.current.outstanding()
        # Of the last two one may have been counted already without a report.
        return self._under_way > 1

    def may_end(self, count: int) -> bool:
        """Return whether so many records that are held back are to be handed over now."""
        now = monotonic()
        under_way = self.current.outstanding()
        if now >= self._free_until or not under_way:
            self.most = self._most
        if now >= self._many_at + BUSY_S:
            self.is_busy = False
        self.is_new = not under_way
        if not under_way:
            self._choose(count, now)
        elif count < MOST_HELD and not (self.is_busy and now < self._open_until):
            patience_s = PATIENCE_S if under_way < self._under_way else LONG_PATIENCE_S
            if not count or now < self._held_at + patience_s:
                return False
            self.most, self._free_until, self.is_busy = inf, now + FREE_S, False
        return True

    def _choose(self, count: int, now: float) -> None:
        if count > MOST_ALONE and self._most != inf:
            if self._together is None:
                self._together = self._make_together()
            self.current = self._together
            self.is_busy, self._many_at = now < self._many_at + BUSY_S, now
        elif not self.is_busy:
            self.current = self._alone
        if count:
            self._open_until = now + OPEN_S

    def _make_together(self) -> ReportingProducer:
        return self._make({**self._settings, "linger.ms": LINGER_MS})

    def end(self) -> None:
        """Note that nothing is held back any more."""
        is_holding = self.is_busy or self.most > self._most or self.current is not self._alone
        self.report_all(is_flushing=self._is_flushing, is_holding=is_holding)

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
