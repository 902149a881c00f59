"""Dead letters of records that do not parse.

How this works. A record that did not parse is counted with one destination more: its dead letter.
Whoever has the record in hand finishes it as before, and it has finished once the broker has
acknowledged the dead letter, too. Meanwhile it counts as in hand, so that a hand-over waits for
what is on its way; what is held is given back then, and comes again.
"""

from collections.abc import Callable, Collection
from logging import ERROR

import anyio

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.errors import ConfigurationError, TooManyDeadLetters
from sdml_kafka.listener.batch_parser import OnParseError
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.processing.forwards import Forwards, Held, forward_of
from sdml_kafka.listener.processing.job import Job, new_job
from sdml_kafka.listener.processing.limits import FailureLimits
from sdml_kafka.listener.processing.policies import DeadLetter
from sdml_kafka.listener.processing.spring_headers import dead_letter_headers
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.log_fields import place_of, record_fields
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.runtime.waiter import clock
from sdml_kafka.transport.interfaces.records import Record


class ParseFailures:
    """Writes dead letters of records that did not parse, within the limits of the policy."""

    counted_twice: int = 0
    """The number of records that the ledger counts as delivered once more than they were."""
    dead_letters: int = 0
    """The number of dead letters that the broker has acknowledged."""

    def __init__(
        self,
        policy: DeadLetter,
        outbox: Outbox,
        ledger: Ledger,
        flush: Callable[[], None],
        log: RateLimitedLog,
        group: Callable[[], str],
        first_topic: Callable[[str], str],
        on_failure: Callable[[Exception], None],
        hooks: RecordHooks,
    ) -> None:
        """Begin with no failure.

        Args:
            policy: Where to, and how many.
            outbox: Sends the dead letters.
            ledger: Knows how many records were handed out.
            flush: Brings the ledger up to date with the readers.
            log: The listener's log.
            group: Returns the name of the consumer group.
            first_topic: Returns the topic that the records of a topic came from at first.
            on_failure: Called with the error that has to stop the listener.
            hooks: Observe the dead letters.
        """
        self._policy, self._outbox = policy, outbox
        self._ledger, self._flush = ledger, flush
        self._log = log
        self._group = group
        self._first_topic = first_topic
        self._on_failure, self._hooks = on_failure, hooks
        self._limits = FailureLimits()
        self._limits.prepare(policy)
        self._forwards = self._make_forwards(anyio.current_time)
        self._delivered = 0
        """The number of records handed out when the last one failed, those that failed included."""
        self._announced = 0
        """The number of records that were counted as good before they are handed out."""
        self._jobs: set[Job] = set()
        """The records whose dead letter is not acknowledged."""

    def topic_for(self, first_topic: str) -> str:
        """Return where the dead letters go of records that came from a topic at first."""
        return self._policy.topic_for(first_topic)

    def _make_forwards(self, now: Callable[[], float]) -> Forwards:
        return Forwards(self._outbox, self._log, now, lambda: None)

    async def run(self) -> None:
        """Send again what is held, until cancelled."""
        self._forwards = forwards = self._make_forwards(clock())
        try:
            await forwards.run()
        finally:
            forwards.close()
            for job in list(self._jobs):
                self._give_back(job)

    def bury(
        self,
        record: Record,
        error: Exception,
        chunk: Chunk[Tenancy],
        index: int,
        *,
        is_in_hand: bool,
    ) -> None:
        """Keep a record from finishing until its dead letter is acknowledged.

        See `DeadLetterWriter`, which this implements.
        """
        policy, now = self._policy, anyio.current_time()
        self._count_good(now, is_in_hand=is_in_hand)
        where = place_of(record)
        refusal = self._limits.refusal(policy, now)
        if refusal is not None:
            failure = TooManyDeadLetters(
                f"{refusal}, since they did not parse, the last of them {where}. Nothing is lost: "
                "mend the parser or the sender, and start again."
            )
            self._on_failure(failure)
            raise failure from error
        if is_in_hand:
            chunk.left[index] += 1
        chunk.tenancy.taken += 1
        self._delivered += 1
        self.counted_twice += is_in_hand
        job = new_job(Parcel(chunk, (record,), (index,), (record,)), 0)
        self._jobs.add(job)
        topic = policy.topic_for(self._first_topic(record.topic))
        text = "%s did not parse, and goes to %r"
        extra = record_fields(record, to_topic=topic, error=error)
        self._log.log(ERROR, f"unparsed {topic}", text, where, topic, error=error, extra=extra)
        forward = forward_of(
            job,
            topic,
            dead_letter_headers(record, error, self._group()),
            "dead letter",
            lambda: self._buried(job, error, topic),
            lambda: self._give_back(job),
            lambda: None,
            self._hooks.take_part,
            to_same_partition=policy.partition == "same",
        )
        self._forwards.send(forward)

    def _count_good(self, now: float, *, is_in_hand: bool) -> None:
        """Count what was handed out since the last failure, and so did parse."""
        self._flush()
        delivered = self._ledger.delivered()
        good = delivered - self._delivered - is_in_hand
        self._delivered = delivered
        known = min(max(good, 0), self._announced)
        self._announced -= known
        if good > known:
            good -= known
            self._limits.note_good(now, good)

    def note_good(self, count: int) -> None:
        """Note that so many records, which will be handed out, parsed after the last failure."""
        if count:
            self._announced += count
            self._limits.note_good(anyio.current_time(), count)

    def _buried(self, job: Job, error: Exception, topic: str) -> None:
        self._jobs.discard(job)
        if job.finish():
            self.dead_letters += 1
            self._hooks.dead_lettered(job, error, topic)

    def _give_back(self, job: Job) -> None:
        self._jobs.discard(job)
        job.give_back()

    def give_back_gone(self) -> None:
        """Give back what is held of partitions that were revoked."""
        self._announced = 0  # some of these may have been withdrawn
        self._forwards.give_back_gone()

    def cut_off(self, tenancies: Collection[Tenancy]) -> bool:
        """Give back the records of these tenancies; return whether there were any."""
        jobs = [job for job in self._jobs if job.tenancy in tenancies]
        for job in jobs:
            self._give_back(job)
        return bool(jobs)

    def unacknowledged(self) -> list[Job]:
        """Return the records whose dead letter is not acknowledged. Any thread may ask."""
        return list(self._jobs)

    def held(self) -> list[Held]:
        """Return what is held now."""
        return self._forwards.held()


class ParseFailuresActor(Actor):
    """Sends again the dead letters that are held."""

    def __init__(self, failures: ParseFailures) -> None:
        self._failures = failures

    async def run(self, life: Life) -> None:
        """Run until stopped."""
        with life.cancel_on_stop():
            life.started()
            await self._failures.run()


def check_on_parse_error(value: OnParseError | DeadLetter) -> OnParseError | DeadLetter:
    """Return the policy, or raise ConfigurationError if it is none."""
    if isinstance(value, DeadLetter) or value in ("skip", "raise"):
        return value
    if not callable(value) or isinstance(value, type):  # a class takes no record and no error
        raise ConfigurationError(
            f"on_parse_error is 'skip', 'raise' or a callable, or DeadLetter(...), not {value!r}"
        )
    return value
