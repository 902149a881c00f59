"""What becomes of a record when its handler has ended: finished, sent on, tried again, given up."""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from logging import ERROR, WARNING
from typing import Any, Protocol, cast

from attrs import define, frozen

from sdml_kafka.errors import ConfigurationError, TooManyDeadLetters, unwrapped
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.processing.forwards import Forward, Forwards, Purpose, forward_of
from sdml_kafka.listener.processing.job import DONE, Item, Job, JobBatch
from sdml_kafka.listener.processing.limits import FailureLimits
from sdml_kafka.listener.processing.policies import (
    NO_PRODUCER,
    DeadLetter,
    OnFailure,
    Retry,
    Send,
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
from sdml_kafka.parsing.parsers import Skip
from sdml_kafka.producing.serializers import Serializers
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.record_checks import check_timestamp_ms

Failure = tuple[Job, Exception]


@frozen
class Failed:
    """Stands for the result of a handler that raised."""

    error: Exception


class Given:
    """Stands for the result of a handler whose record is to be given back."""


GIVEN_BACK = Given()


class Left:
    """Stands for the result of a handler that was not called, since its record did not parse."""


LEFT_OUT = Left()


@frozen
class Policies:
    """What a processor does about failures."""

    retry: Retry
    plan: RetryPlan | None
    """The retry topics, if there are any."""
    on_failure: OnFailure
    can_send: bool
    """True if there is a producer, which sends and dead letters need."""


@define
class Counts:
    """What has happened to a processor's records."""

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
        """
        self.counts: Counts = Counts()
        self._policies, self._name, self._group = policies, name, group
        self._forwards, self._serializers = forwards, serializers
        self._again = again
        self._log, self._clock = log, clock
        self._on_left, self._on_given_back = on_left, on_given_back
        self._stop_listener, self._hooks = on_failure, hooks
        self.limits: FailureLimits = FailureLimits()
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
            text = "%s raised after it had finished %s"
            args = self._name, _place(item.jobs[0])
            self._log.log(ERROR, f"late {self._name}", text, *args, error=result.error)
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
            messages = self._messages(item, _sends(result))
        except ConfigurationError as error:
            self._stop(item.jobs, error)
        except Exception as error:  # which a serializer has raised
            self.settle(item, (), _with_refused(good, failures, error))
        else:
            self._send_messages(item, good, failures, messages)

    def _send_messages(
        self,
        item: Item,
        good: Sequence[Job],
        failures: Sequence[Failure],
        messages: list[Message],
    ) -> None:
        _Bundle(item, good, failures, messages, self).send(self._forwards)

    def _messages(self, item: Item, sends: Sequence[Send]) -> list[Message]:
        messages = [self._message(send) for send in sends]
        if messages and not self._policies.can_send:
            raise ConfigurationError(NO_PRODUCER)
        if not self._hooks.takes_part:
            return messages
        return [self._hooks.take_part(message, "send", item.jobs[0]) for message in messages]

    def _message(self, send: Send) -> Message:
        value = send.value
        if value is not None and value.__class__ is not bytes:
            value = self._serializers.serialize(value)
        if send.timestamp_ms is not None:
            check_timestamp_ms(send.timestamp_ms)
        record = send.topic, value, send.key, send.headers, send.partition
        return Message(*record, timestamp_ms=send.timestamp_ms)

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
        text = "%s failed with %s (%r), attempt %d follows in %.1f s"
        args = self._name, _place(jobs[0]), error, jobs[0].attempt, delay_s
        self._log.log(WARNING, f"retry {self._name}", text, *args)

    def _try_later(self, job: Job, plan: RetryPlan, error: Exception) -> None:
        step, record = plan.next_step(job.record.topic), job.record
        if step is None:
            self._give_up(job, error)
            return
        (topic, delay_s), attempt = step, job.attempt + 1
        due_ms = plan.now_ms() + delay_ms(delay_s)
        headers = retry_headers(record, error, self._group(), attempt, due_ms)
        text = "%s failed with %s (%r), attempt %d follows in %.1f s by way of %r"
        args = self._name, _place(job), error, attempt, delay_s, topic
        self._log.log(WARNING, f"retry {self._name}", text, *args)
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
                self._note(job, "skip", "it is skipped", error)
                self.leave_out(job)
            case Stop():
                self._note_stop(job, error)
                self._stop([job], error)

    def _note(self, job: Job, kind: str, what: str, error: Exception) -> None:
        args = self._name, _place(job), what
        self._log.log(ERROR, f"{kind} {self._name}", "%s failed with %s: %s", *args, error=error)

    def _note_stop(self, job: Job, error: Exception) -> None:
        text = "%s failed with %s, and the listener stops: %s: %s"
        args = self._name, _place(job), type(error).__name__, error
        self._log.log(ERROR, f"stop {self._name}", text, *args)
        note = f"{self._name} failed with "
        if not any(each.startswith(note) for each in getattr(error, "__notes__", ())):
            error.add_note(note + _place(job))  # the first one, if a batch has failed with it

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
                f"{self._name}: {refusal}, the last of them {_place(job)}. Nothing is lost: mend "
                "what fails, and start again."
            )
            self._stop([job], _with_cause(failure, error))
            return
        record, plan, group = job.record, self._policies.plan, self._group()
        if plan is not None and plan.has_read(job):
            first_topic = plan.first_topic(record.topic)
            headers = retry_headers(record, error, group, job.attempt + 1, plan.now_ms())
        else:
            first_topic, headers = record.topic, dead_letter_headers(record, error, group)
        topic = policy.topic_for(first_topic)
        self._note(job, "dead letter", f"it goes to {topic!r}", error)
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


@define(eq=False)
class _Bundle:
    """The messages that a handler returned; its records are settled once all have an outcome."""

    item: Item
    good: Sequence[Job]
    failures: Sequence[Failure]
    messages: list[Message]
    outcomes: Outcomes
    left: int = 0
    error: Exception | None = None

    def send(self, forwards: Forwards) -> None:
        self.left = len(self.messages)
        if not self.left:
            self._all_settled()
        job = self.good[0] if self.good else self.failures[0][0]
        for message in self.messages:
            forwards.send(Forward(job, message, "send", self._sent, self._lost, self._refused))

    def _sent(self) -> None:
        self.left -= 1
        if not self.left:
            self._all_settled()

    def _refused(self, error: Exception) -> None:
        self.error = error
        self._sent()

    def _lost(self) -> None:
        for job in (*self.good, *(job for job, _ in self.failures)):
            self.outcomes.give_back(job)

    def _all_settled(self) -> None:
        good, failures = self.good, self.failures
        if self.error is not None:
            good, failures = (), _with_refused(good, failures, self.error)
        self.outcomes.settle(self.item, good, failures)


def _with_refused(
    good: Sequence[Job], failures: Sequence[Failure], error: Exception
) -> Sequence[Failure]:
    """Return the failures and those of records of which a message was refused, in their order."""
    refused = [(job, error) for job in good]
    return sorted((*failures, *refused), key=lambda failure: failure[0].offset)


def _with_cause(failure: Exception, cause: Exception) -> Exception:
    failure.__cause__ = cause
    return failure


def _unwrapped(error: Exception) -> Exception:
    return cast(Exception, unwrapped(error))  # a group of exceptions holds no others


def _sends(result: object) -> list[Send]:
    if isinstance(result, Send):
        return [result]
    if isinstance(result, Iterable) and not isinstance(result, str | bytes):
        sends: list[Any] = list(cast(Any, result))
        if all(isinstance(each, Send) for each in sends):
            return sends
    raise ConfigurationError(
        f"A handler returns None, a Send or several of them, not {result!r:.300}"
    )


def _place(job: Job) -> str:
    record = job.record
    return f"{record.topic!r} partition {record.partition} offset {record.offset}"
