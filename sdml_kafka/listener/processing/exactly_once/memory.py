"""Remember records whose transaction was aborted, for when they are handled again.

A message that the broker refuses spoils its whole transaction. So its record fails the next time
that it comes, without a call of its handler, with the same error and at the same attempt as if the
message alone had been refused. A dead letter goes on where it was.

What is known of a record is forgotten once it has finished, and not before: until its transaction
is committed another message that is refused may make it come again. If each record that comes again
were as new, two of them whose messages are refused could spoil each other's transactions for ever.
"""

from collections.abc import Collection

from attrs import frozen

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.errors import ConfigurationError, PayloadTooLarge
from sdml_kafka.listener.processing.exactly_once.stage import Ended
from sdml_kafka.listener.processing.forwards import REFUSALS, Forward
from sdml_kafka.listener.processing.job import Job

HELD_S = 0.5
"""Seconds in which a topic that has refused a dead letter is not asked to take another one."""


@frozen
class Remembered:
    """The past of a record that comes again."""

    attempt: int
    error: Exception | None = None
    """The error that it fails with, without a call of its handler."""
    forward: Forward | None = None
    """Its dead letter, if it has one."""
    why: Exception | None = None
    """Why the dead letter has to be held; None if it may be sent at once."""


class Memory:
    """The records of one processor that come again and are not as new."""

    def __init__(self) -> None:
        """Begin without records."""
        self._by_tenancy: dict[Tenancy, dict[int, Remembered]] = {}
        self._missing: set[tuple[str, int | None]] = set()
        """Partitions that dead letters were to go to, and that do not exist."""
        self._topics: dict[str, tuple[float, Exception]] = {}
        """Topics that take no dead letters, each with when to try again, and why."""

    def __bool__(self) -> bool:
        return bool(self._by_tenancy)

    # -- notes ---------------------------------------------------------------------------

    def note_refused(self, ended: Ended, error: Exception, now: float) -> bool:
        """Note that a message of these records was not taken; return False if it may be later."""
        if not isinstance(error, REFUSALS):
            return False
        forward = ended.forward
        if forward is None:
            for job in ended.jobs:
                self._note(job, Remembered(job.attempt, error))
        elif self._finds_another_way(forward, error):
            self.note_dead_letter(forward, None)
        else:
            self._topics[forward.message.topic] = now + HELD_S, error
            self.note_dead_letter(forward, error)
        return True

    def note_dead_letter(self, forward: Forward, why: Exception | None) -> None:
        """Note that a dead letter has to go on, and why it is held if it is."""
        job = forward.job
        cause = job.verdict if isinstance(job.verdict, Exception) else why
        self._note(job, Remembered(job.attempt, cause, forward, why))

    def note_attempt(self, job: Job) -> None:
        """Note the attempt of a record, if that is not the first one, or known."""
        known = self.of(job)
        if job.attempt > (1 if known is None else known.attempt):
            self._note(job, Remembered(job.attempt))

    def _note(self, job: Job, remembered: Remembered) -> None:
        self._by_tenancy.setdefault(job.tenancy, {})[job.offset] = remembered

    def _finds_another_way(self, forward: Forward, error: Exception) -> bool:
        """Change a dead letter so that it may be taken; return False if that cannot be."""
        message = forward.message
        if forward.fallback is not None and isinstance(error, ConfigurationError):
            self._missing.add((message.topic, message.partition))
            forward.message, forward.fallback = forward.fallback, None
            return True
        return isinstance(error, PayloadTooLarge) and forward.shorten()

    # -- what is known -------------------------------------------------------------------

    def avoid_missing(self, forward: Forward) -> None:
        """Have a dead letter sent to a partition that exists, as far as that is known."""
        message, fallback = forward.message, forward.fallback
        if fallback is not None and (message.topic, message.partition) in self._missing:
            forward.message, forward.fallback = fallback, None

    def reason_to_hold(self, topic: str, now: float) -> Exception | None:
        """Return why a topic takes no dead letters at the moment, None if it may."""
        until, why = self._topics.get(topic, (now, None))
        if now >= until:
            self._topics.pop(topic, None)
            return None
        return why

    def of(self, job: Job) -> Remembered | None:
        """Return what is known of a record, None if it is as new."""
        return self._by_tenancy.get(job.tenancy, {}).get(job.offset)

    def forget(self, job: Job) -> None:
        """Forget a record."""
        offsets = self._by_tenancy.get(job.tenancy)
        if offsets is not None:
            offsets.pop(job.offset, None)
            if not offsets:
                del self._by_tenancy[job.tenancy]

    def forget_all(self, tenancies: Collection[Tenancy]) -> None:
        """Forget the records of partitions that are revoked."""
        for tenancy in tenancies:
            self._by_tenancy.pop(tenancy, None)

    def forget_gone(self) -> None:
        """Forget the records of partitions that were revoked while no processor took records."""
        self.forget_all([each for each in self._by_tenancy if each.withdrawn or not each.open])
