"""The lines of the log about records of a processor that have failed."""

from logging import ERROR, WARNING

from sdml_kafka.listener.processing.job import Job
from sdml_kafka.log_fields import escaped, place_of, record_fields
from sdml_kafka.rate_limited_log import RateLimitedLog


class FailureLog:
    """Logs what a processor does about records that have failed."""

    def __init__(self, log: RateLimitedLog, name: str) -> None:
        """Write to the listener's log, as the processor of this name."""
        self._log = log
        self._name = name

    def finished_already(self, job: Job, error: Exception) -> None:
        """Log that a handler raised after it had finished its record."""
        kind, text = f"late {self._name}", "%s raised after it had finished %s"
        extra = record_fields(job.record, handler=self._name, error=error)
        self._log.log(ERROR, kind, text, self._name, place(job), error=error, extra=extra)

    def tried_again(
        self, job: Job, error: Exception, attempt: int, delay_s: float, topic: str | None
    ) -> None:
        """Log that an attempt follows, in its place or by way of a retry topic."""
        text = "%s failed at %s (%s), attempt %d follows in %.1f s"
        args: tuple[object, ...] = self._name, place(job), named(error), attempt, delay_s
        if topic is not None:
            text = "%s failed at %s (%s), attempt %d follows in %.1f s by way of %r"
            args = *args, topic
        extra = record_fields(
            job.record,
            handler=self._name,
            attempt=attempt,
            seconds=delay_s,
            to_topic=topic,
            error=error,
        )
        late = text.replace("follows in", "was to follow within")
        self._log.log(WARNING, f"retry {self._name}", text, *args, extra=extra, late=late)

    def skipped(self, job: Job, error: Exception) -> None:
        """Log that a record has failed for good, and is skipped."""
        self._gave_up(job, "skip", "is skipped", error, None)

    def dead_lettered(self, job: Job, error: Exception, topic: str) -> None:
        """Log that a record has failed for good, and goes to the dead letters."""
        self._gave_up(job, "dead letter", f"goes to {topic!r}", error, topic)

    def _gave_up(
        self, job: Job, kind: str, what: str, error: Exception, to_topic: str | None
    ) -> None:
        text = "%s failed at %s (%s), and the record %s"
        args = self._name, place(job), named(error), what
        attempt = job.attempt
        extra = record_fields(
            job.record, handler=self._name, attempt=attempt, to_topic=to_topic, error=error
        )
        self._log.log(ERROR, f"{kind} {self._name}", text, *args, error=error, extra=extra)

    def stops(self, job: Job, error: Exception) -> None:
        """Log that a record stops the listener, and note on the error which one it is."""
        text = "%s failed at %s (%s), and the listener stops"
        args = self._name, place(job), named(error)
        extra = record_fields(job.record, handler=self._name, error=error)
        self._log.log(ERROR, f"stop {self._name}", text, *args, extra=extra)
        note = f"{self._name} failed with "
        if not any(each.startswith(note) for each in getattr(error, "__notes__", ())):
            error.add_note(note + place(job))  # the first one, if a batch has failed with it


def named(error: Exception) -> str:
    """Return the class and the text of an error, bounded."""
    return f"{type(error).__name__}: {escaped(error)}"


def place(job: Job) -> str:
    """Return the name of a record for people."""
    return place_of(job.record)
