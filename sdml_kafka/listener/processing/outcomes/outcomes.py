"""Outcomes of records whose handler has ended: finished, sent on, tried again, given up."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, cast

from attrs import define, frozen

from sdml_kafka.errors import ConfigurationError, TooManyDeadLetters, unwrapped
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.processing.forwards import Forwards, Purpose, forward_of
from sdml_kafka.listener.processing.job import DONE, Item, Job, JobBatch
from sdml_kafka.listener.processing.limits import FailureLimits
from sdml_kafka.listener.processing.outcomes.failure_log import FailureLog, place
from sdml_kafka.listener.processing.outcomes.not_yet_sent import NotYetSent
from sdml_kafka.listener.processing.outcomes.results import GIVEN_BACK, LEFT_OUT, Failed, Failure
from sdml_kafka.listener.processing.outcomes.returned import Bundle, Messages, with_refused
from sdml_kafka.listener.processing.policies import (
    NO_PRODUCER,
    DeadLetter,
    OnFailure,
    Retry,
    Stop,
    Verdict,
    delay_ms,
)
from sdml_kafka.listener.processing.retrying.plan import RetryPlan
from sdml_kafka.listener.processing.spring_headers import (
    Headers,
    dead_letter_headers,
    retry_headers,
)
from sdml_kafka.listener.processing.timetable import Timetable
from sdml_kafka.parsing.not_yet import NotYet
from sdml_kafka.parsing.parsers import Skip
from sdml_kafka.producing.serializers import Serializers
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces.producer import Message


@frozen
class Policies:
    """A processor's policies for failures."""

    retry: Retry
    plan: RetryPlan | None
    """The retry topics, if there are any."""
    on_failure: OnFailure
    can_send: bool
    """True if there is a producer, which sends and dead letters need."""


@define
class Counts:
    """The counts of what has happened to a processor's records."""

    finished: int = 0
    retries: int = 0
    failures: int = 0
    """The number of records that have failed for good."""
    dead_letters: int = 0
    transactions: int = 0
    """The number of transactions that were committed."""
    aborted: int = 0
    """The number of transactions that were aborted."""


class OnLeft(Protocol):
    """Takes a record that has left."""

    def __call__(self, job: Job, /, *, frees_lane: bool = True) -> None: ...


class Outcomes:
    """Decides what follows a handler's end, and does it."""

    counts: Counts
    limits: FailureLimits

    def __init__(
        self,
        policies: Policies,
        name: str,
        group: Callable[[], str],
        forwards: Forwards,
        serializers: Serializers,
        again: Timetable[Item],
        log: RateLimitedLog,
        clock: Callable[[], float],
        on_left: OnLeft,
        on_given_back: Callable[[Job], None],
        on_failure: Callable[[Exception], None],
        hooks: RecordHooks,
        unsent: NotYetSent,
    ) -> None:
        """Begin without a failure.

        Args:
            policies: What to do about failures.
            name: The processor's name.
            group: Returns the name of the consumer group.
            forwards: Sends what a record needs to have sent before it finishes.
            serializers: Turn what handlers return to be sent into bytes.
            again: Where a record waits for its next attempt.
            log: The listener's log.
            clock: The clock of the event loop.
            on_left: Called when a record has left, and whether the next one of its lane may begin.
            on_given_back: Called before that with a record that has not finished.
            on_failure: Called with the error that has to stop the listener.
            hooks: Observe what becomes of records.
            unsent: Holds the records whose messages cannot be written yet.
        """
        self.counts, self.limits = Counts(), FailureLimits()
        self._policies, self._name, self._group, self._clock = policies, name, group, clock
        self._messages = Messages(serializers, hooks, can_send=policies.can_send)
        self._failure_log = FailureLog(log, name)
        self._forwards, self._again, self._on_left, self._hooks = forwards, again, on_left, hooks
        self._on_given_back, self._stop_listener, self._unsent = on_given_back, on_failure, unsent
        self.limits.prepare(policies.on_failure)

    # -- ends ----------------------------------------------------------------------------

    def ended(self, item: Item, result: object) -> None:
        """Take what a handler returned for records that are in hand."""
        if result is GIVEN_BACK:
            for job in item.jobs:
                self._hold_lane(job)
        elif result is LEFT_OUT:
            for job in item.jobs:
                self.leave_out(job)
        else:
            self._sort_out(item, result)

    def _sort_out(self, item: Item, result: object) -> None:
        """Tell the records that have failed from those that have not."""
        good, failures = list[Job](), list[Failure]()
        for job in item.jobs:
            if isinstance(job.verdict, Exception):
                failures.append((job, _unwrapped(job.verdict)))
            elif isinstance(result, Failed) and job.verdict is not DONE:
                failures.append((job, _unwrapped(result.error)))
            else:
                good.append(job)
        if isinstance(result, Failed) and not failures:
            self._failure_log.finished_already(item.jobs[0], result.error)
        if result is None or isinstance(result, Failed):
            self.settle(item, good, failures)
        else:
            self._send(item, good, failures, result)

    def settle(self, item: Item, good: Iterable[Job], failures: Sequence[Failure]) -> None:
        """Finish the records that have ended well, and decide about the others."""
        for job in good:
            self.finish(job)
        if failures:
            self._fail(item, failures)

    def finish(self, job: Job) -> None:
        """Finish a record that has ended well."""
        if job.finish():
            self.counts.finished += 1
            self.limits.note_good(self._clock())
            self._on_left(job)

    def leave_out(self, job: Job) -> None:
        """Finish a record that has not ended well, such as one that did not parse."""
        if job.finish():
            self._on_left(job)

    def cut_off(self, item: Item) -> None:
        """Let records go whose handler was cut off."""
        for job in item.jobs:
            if job.verdict is DONE:
                self.finish(job)
            else:
                self.give_back(job)

    def give_back(self, job: Job) -> None:
        """Let a record go that has not finished, so that it comes again."""
        if job.give_back():
            self._on_given_back(job)
            self._on_left(job)

    def _stop(self, jobs: Iterable[Job], error: Exception) -> None:
        for job in jobs:
            self._hold_lane(job)
        self._stop_listener(error)

    def _hold_lane(self, job: Job) -> None:
        """Give a record back that stops the listener, and let nothing overtake it."""
        job.give_back()
        self._on_left(job, frees_lane=False)

    # -- what a handler returned ---------------------------------------------------------

    def _send(
        self, item: Item, good: Sequence[Job], failures: Sequence[Failure], result: object
    ) -> None:
        """Send what a handler returned, and settle its records once that has its outcome.

        Those that have failed wait as well: all of a batch that is tried again is tried at once.
        """
        try:
            messages = self._messages.of(item, result)
        except NotYet as not_yet:
            send = partial(self._send, item, good, failures, result)
            refuse = partial(self._refuse, item, good, failures)
            self._unsent.hold(item, not_yet, send, refuse, self.give_back)
        except ConfigurationError as error:
            self._stop(item.jobs, error)
        except Exception as error:  # which a serializer has raised
            self._refuse(item, good, failures, error)
        else:
            self._send_messages(item, good, failures, messages)

    def _refuse(
        self, item: Item, good: Sequence[Job], failures: Sequence[Failure], error: Exception
    ) -> None:
        self.settle(item, (), with_refused(good, failures, error))

    def _send_messages(
        self,
        item: Item,
        good: Sequence[Job],
        failures: Sequence[Failure],
        messages: list[Message],
    ) -> None:
        bundle = Bundle(item, good, failures, messages, self.settle, self.give_back)
        bundle.send(self._forwards)

    # -- failures ------------------------------------------------------------------------

    def _fail(self, item: Item, failures: Sequence[Failure]) -> None:
        """Decide about records that are in hand and have failed."""
        retry, plan, again = self._policies.retry, self._policies.plan, list[Job]()
        for job, error in failures:
            job.verdict = None
            if job.is_settled:
                continue  # it was given back while its messages were on their way
            job.keep_alone()  # it may stay for long, and those that it came with have finished
            if job.is_gone:
                self.give_back(job)
            elif not retry.applies_to(error):
                self._give_up(job, error)
            elif plan is not None and (job.attempt >= retry.attempts or plan.has_read(job)):
                self._try_later(job, plan, error)
            elif job.attempt < retry.attempts:
                again.append(job)
            else:
                self._give_up(job, error)
        if again:
            self._try_again(item, again, failures[0][1])

    def _try_again(self, item: Item, jobs: list[Job], error: Exception) -> None:
        delay_s = self._policies.retry.delay_s(jobs[0].attempt, random.random())
        self.counts.retries += len(jobs)
        for job in jobs:
            job.attempt += 1
        if isinstance(item, JobBatch):
            item.jobs = jobs
        self._again.add(self._clock() + delay_s, item)
        for job in jobs:
            self._hooks.retried(job, error, job.attempt, delay_s, None)
        self._failure_log.tried_again(jobs[0], error, jobs[0].attempt, delay_s, None)

    def _try_later(self, job: Job, plan: RetryPlan, error: Exception) -> None:
        record = job.record
        step = plan.next_step(record.topic, job.attempt)
        if step is None:
            self._give_up(job, error)
            return
        (topic, delay_s), attempt = step, job.attempt + 1
        due_ms = plan.now_ms() + delay_ms(delay_s)
        headers = retry_headers(record, error, self._group(), attempt, due_ms)
        self._failure_log.tried_again(job, error, attempt, delay_s, topic)
        note = partial(self._hooks.retried, job, error, attempt, delay_s, topic)
        self._forward(job, topic, headers, "retry", note, same_partition=True)

    def _give_up(self, job: Job, error: Exception) -> None:
        self.counts.failures += 1
        try:
            verdict = self._verdict(job, error)
        except Exception as failure:  # out of the program's function
            verdict, error = Stop(), failure
        match verdict:
            case DeadLetter():
                self._dead_letter(job, verdict, error)
            case Skip():
                self._failure_log.skipped(job, error)
                self.leave_out(job)
            case Stop():
                self._failure_log.stops(job, error)
                self._stop([job], error)

    def _verdict(self, job: Job, error: Exception) -> Verdict:
        on_failure = self._policies.on_failure
        if isinstance(on_failure, Stop | Skip | DeadLetter):
            return on_failure
        verdict = on_failure(job, error)
        if not isinstance(verdict, Stop | Skip | DeadLetter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"on_failure returned {verdict!r:.300}, not Stop(), Skip() or DeadLetter(...)"
            )
        return verdict

    def _dead_letter(self, job: Job, policy: DeadLetter, error: Exception) -> None:
        if not self._policies.can_send:
            self._stop([job], _with_cause(ConfigurationError(NO_PRODUCER), error))
            return
        refusal = self.limits.refusal(policy, self._clock())
        if refusal is not None:
            failure = TooManyDeadLetters(
                f"{self._name}: {refusal}, the last of them {place(job)}. Nothing is lost: mend "
                "what fails, and start again."
            )
            self._stop([job], _with_cause(failure, error))
            return
        record, plan, group = job.record, self._policies.plan, self._group()
        if plan is not None and plan.has_read(job):
            first_topic = plan.first_topic(record.topic)
            headers = retry_headers(record, error, group, job.attempt + 1, plan.now_ms())
        else:
            first_topic = record.topic
            headers = dead_letter_headers(record, error, group, job.attempt)
        topic = policy.topic_for(first_topic)
        self._failure_log.dead_lettered(job, error, topic)
        note = partial(self._hooks.dead_lettered, job, error, topic)
        same = policy.partition == "same"
        self._forward(job, topic, headers, "dead letter", note, same_partition=same)

    def _forward(
        self,
        job: Job,
        topic: str,
        headers: Headers,
        purpose: Purpose,
        note: Callable[[], None],
        *,
        same_partition: bool,
    ) -> None:
        """Send a record to another topic, and finish it once that is acknowledged."""
        self._forwards.send(
            forward_of(
                job,
                topic,
                headers,
                purpose,
                lambda: self._forwarded(job, purpose, note),
                lambda: self.give_back(job),
                note,
                self._hooks.take_part,
                to_same_partition=same_partition,
            )
        )

    def _forwarded(self, job: Job, purpose: Purpose, note: Callable[[], None]) -> None:
        if job.finish():
            if purpose == "retry":
                self.counts.retries += 1
            else:
                self.counts.dead_letters += 1
            note()
            self._on_left(job)


def _with_cause(failure: Exception, cause: Exception) -> Exception:
    failure.__cause__ = cause
    return failure


def _unwrapped(error: Exception) -> Exception:
    return cast(Exception, unwrapped(error))  # a group of exceptions holds no others
