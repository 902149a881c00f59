"""What becomes of a record when its handler has ended: finished, sent on, tried again, given up."""

import random
from collections.abc import Callable, Iterable
from logging import ERROR, WARNING
from typing import Any, Protocol

from attrs import define, frozen

from sdml_kafka.errors import ConfigurationError, TooManyDeadLetters
from sdml_kafka.listener.processing.forwards import Forward, Forwards
from sdml_kafka.listener.processing.job import DONE, Job
from sdml_kafka.listener.processing.limits import FailureLimits
from sdml_kafka.listener.processing.policies import (
    DeadLetter,
    OnFailure,
    Retry,
    Send,
    Stop,
    Verdict,
)
from sdml_kafka.listener.processing.spring_headers import dead_letter_headers
from sdml_kafka.listener.processing.timetable import Timetable
from sdml_kafka.parsing.parsers import Skip
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces import Message


@frozen
class Failed:
    """Stands for the result of a handler that raised."""

    error: Exception


class Given:
    """Stands for the result of a handler whose record is to be given back."""


GIVEN_BACK = Given()


@frozen
class Policies:
    """What a processor does about failures."""

    retry: Retry
    on_failure: OnFailure


@define
class Counts:
    """What has happened to a processor's records."""

    finished: int = 0
    retries: int = 0
    failures: int = 0
    """The number of records that have failed for good."""
    dead_letters: int = 0


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
        again: Timetable[Job],
        log: RateLimitedLog,
        clock: Callable[[], float],
        on_left: OnLeft,
        on_given_back: Callable[[Job], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Begin without a failure.

        Args:
            policies: What to do about failures.
            name: The processor's name.
            group: Returns the name of the consumer group.
            forwards: Sends what a record needs to have sent before it finishes.
            again: Where a record waits for its next attempt.
            log: The listener's log.
            clock: The clock of the event loop.
            on_left: Called when a record has left, and whether the next one of its lane may begin.
            on_given_back: Called before that with a record that has not finished.
            on_failure: Called with the error that has to stop the listener.
        """
        self.counts: Counts = Counts()
        self._policies = policies
        self._name = name
        self._group = group
        self._forwards = forwards
        self._again = again
        self._log = log
        self._clock = clock
        self._on_left = on_left
        self._on_given_back = on_given_back
        self._stop_listener = on_failure
        self._limits = FailureLimits()
        self._limits.prepare(policies.on_failure)

    # -- ends ----------------------------------------------------------------------------

    def ended(self, job: Job, result: object) -> None:
        """Take what a handler returned for a record that is in hand."""
        verdict = job.verdict
        if result is GIVEN_BACK:
            self._hold_lane(job)
        elif isinstance(verdict, Exception):
            self._fail(job, verdict)
        elif result is None:
            self.finish(job)
        elif not isinstance(result, Failed):
            self._send(job, result)
        elif verdict is DONE:
            text = "%s raised after it had finished %s"
            args = self._name, _place(job)
            self._log.log(ERROR, f"late {self._name}", text, *args, error=result.error)
            self.finish(job)
        else:
            self._fail(job, result.error)

    def finish(self, job: Job) -> None:
        """Finish a record that has ended well."""
        if job.finish():
            self.counts.finished += 1
            self._limits.note_good(self._clock())
            self._on_left(job)

    def cut_off(self, job: Job) -> None:
        """Let a record go whose handler was cut off."""
        if job.verdict is DONE:
            self.finish(job)
        else:
            self.give_back(job)

    def give_back(self, job: Job) -> None:
        """Let a record go that has not finished, so that it comes again."""
        if job.give_back():
            self._on_given_back(job)
            self._on_left(job)

    def _stop(self, job: Job, error: Exception) -> None:
        self._hold_lane(job)
        self._stop_listener(error)

    def _hold_lane(self, job: Job) -> None:
        """Give a record back that stops the listener, and let nothing overtake it."""
        job.give_back()
        self._on_left(job, frees_lane=False)

    # -- what a handler returned ---------------------------------------------------------

    def _send(self, job: Job, result: object) -> None:
        try:
            messages = [_message(send) for send in _sends(result)]
        except ConfigurationError as error:
            self._stop(job, error)
            return
        _Bundle(job, messages, self._forwards, self.finish, self._fail).send()

    # -- failures ------------------------------------------------------------------------

    def _fail(self, job: Job, error: Exception) -> None:
        """Decide about a record that is in hand and has failed."""
        job.verdict = None
        if job.is_gone:
            self.give_back(job)
            return
        retry = self._policies.retry
        if job.attempt < retry.attempts and retry.applies_to(error):
            delay_s = retry.delay_s(job.attempt, random.random())
            self._try_again(job, error, delay_s)
            return
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
                if job.finish():
                    self._on_left(job)
            case Stop():
                self._stop(job, error)

    def _try_again(self, job: Job, error: Exception, delay_s: float) -> None:
        self.counts.retries += 1
        job.attempt += 1
        self._again.add(self._clock() + delay_s, job)
        text = "%s failed with %s (%r), attempt %d follows in %.1f s"
        args = self._name, _place(job), error, job.attempt, delay_s
        self._log.log(WARNING, f"retry {self._name}", text, *args)

    def _note(self, job: Job, kind: str, what: str, error: Exception) -> None:
        args = self._name, _place(job), what
        self._log.log(ERROR, f"{kind} {self._name}", "%s failed with %s: %s", *args, error=error)

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
        refusal = self._limits.refusal(policy, self._clock())
        if refusal is not None:
            failure = TooManyDeadLetters(
                f"{self._name}: {refusal}, the last of them {_place(job)}. Nothing is lost: mend "
                "what fails, and start again."
            )
            failure.__cause__ = error
            self._stop(job, failure)
            return
        record = job.record
        headers = dead_letter_headers(record, error, self._group())
        topic = policy.topic_for(record.topic)
        by_key = Message(topic, record.value, record.key, headers)
        self._note(job, "dead letter", f"it goes to {topic!r}", error)
        forward = Forward(job, by_key, "dead letter", lambda: self._buried(job))
        if policy.partition == "same":
            forward.message, forward.fallback = by_key._replace(partition=record.partition), by_key
        self._forwards.send(forward)

    def _buried(self, job: Job) -> None:
        if job.finish():
            self.counts.dead_letters += 1
            self._on_left(job)


@define(eq=False)
class _Bundle:
    """The messages of one record, which finishes once all are acknowledged."""

    job: Job
    messages: list[Message]
    forwards: Forwards
    on_sent: Callable[[Job], None]
    on_refused: Callable[[Job, Exception], None]
    left: int = 0
    error: Exception | None = None

    def send(self) -> None:
        self.left = len(self.messages)
        if not self.left:
            self.on_sent(self.job)
        for message in self.messages:
            self.forwards.send(Forward(self.job, message, "send", self._sent, self._refused))

    def _refused(self, error: Exception) -> None:
        self.error = error
        self._sent()

    def _sent(self) -> None:
        self.left -= 1
        if not self.left:
            if self.error is None:
                self.on_sent(self.job)
            else:
                self.on_refused(self.job, self.error)


def _sends(result: object) -> list[Send]:
    if isinstance(result, Send):
        return [result]
    if isinstance(result, Iterable) and not isinstance(result, str | bytes):
        sends: list[Any] = list(result)
        if all(isinstance(each, Send) for each in sends):
            return sends
    raise ConfigurationError(
        f"A handler returns None, a Send or several of them, not {result!r:.300}"
    )


def _message(send: Send) -> Message:
    return Message(send.topic, send.value, send.key, send.headers, send.partition)


def _place(job: Job) -> str:
    record = job.record
    return f"{record.topic!r} partition {record.partition} offset {record.offset}"
