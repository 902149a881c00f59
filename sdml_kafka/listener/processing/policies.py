"""A program's choices of processing: order, retries, what becomes of a failure, what to send."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import field, frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.parsing.parsers import Skip
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name

if TYPE_CHECKING:
    from sdml_kafka.listener.delivery import Delivery

Order = Literal["partition", "key", "none"]
"""The records that wait for each other: those of a partition, those of a key, or none."""

Suffix = Literal["delay", "index", "none"]
"""The end of a retry topic's name: its delay in milliseconds, its number from 0, or nothing."""

NO_PRODUCER = (
    "Sends, retry topics and dead letters need a producer: give the listener bootstrap_servers, or "
    "a producer_factory beside the consumer_factory; in a test give "
    "Transport(broker.connect('a-group'), broker.connect_producer())."
)

MAX_ATTEMPTS = 32_767
"""The largest number of an attempt, for Spring's header holds no larger one."""
MAX_DELAY_S = 30 * 24 * 3600.0
"""The longest delay between two attempts, in seconds."""


def _check_number(name: str, value: object, least: float, most: float, whole: bool = False) -> None:
    kinds = int if whole else int | float
    is_right = isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most
    if not is_right or not math.isfinite(value):  # type: ignore[arg-type]  # it is a number
        what = "a whole number" if whole else "a number"
        bounds = f"{least:g} or more" if most == math.inf else f"from {least:g} to {most:g}"
        raise ConfigurationError(f"{name} is {what}, {bounds}, not {value!r:.300}")


def _is_error_class(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


@frozen
class Retry:
    """Try a failed record again in place, so that the order is kept.

    A record that waits for its next attempt holds up only the records that are in order with it.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    attempts: int = 3
    """The number of times that a record is tried in all; 1 tries nothing again."""
    backoff_s: float = 0.5
    """Seconds between the first attempt and the second."""
    multiplier: float = 2.0
    """The number that each further wait is longer by."""
    max_backoff_s: float = 30.0
    """The longest wait between two attempts, in seconds, before `jitter`."""
    jitter: float = 0.2
    """The part, from 0 to 1, by which chance makes each wait shorter or longer at most."""
    on: tuple[type[Exception], ...] = (Exception,)
    """The errors that are tried again."""
    unless: tuple[type[Exception], ...] = ()
    """The errors that are not, although `on` has them."""

    def __attrs_post_init__(self) -> None:
        _check_number("attempts", self.attempts, 1, MAX_ATTEMPTS, whole=True)
        _check_number("backoff_s", self.backoff_s, 0, MAX_DELAY_S)
        _check_number("multiplier", self.multiplier, 1, 1000)
        _check_number("max_backoff_s", self.max_backoff_s, 0, MAX_DELAY_S)
        _check_number("jitter", self.jitter, 0, 1)
        for name, kinds in (("on", self.on), ("unless", self.unless)):
            if not isinstance(kinds, tuple) or not all(map(_is_error_class, kinds)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"{name} is a tuple of classes of errors, not {kinds!r}")

    def applies_to(self, error: Exception) -> bool:
        """Return whether a record that failed with `error` may be tried again at all."""
        return isinstance(error, self.on) and not isinstance(error, self.unless)

    def delay_s(self, attempt: int, chance: float) -> float:
        """Return the seconds between the failed attempt with this number and the next one.

        Args:
            attempt: The number of the attempt that failed, from 1.
            chance: A number from 0 to 1 that spreads the waits.
        """
        # The exponent is bounded, since a float has an end.
        factor = self.multiplier ** min(attempt - 1, 64) if self.backoff_s else 0.0
        delay_s = min(self.backoff_s * factor, self.max_backoff_s)
        return delay_s * (1 + self.jitter * (2 * chance - 1))


ONCE = Retry(attempts=1)
"""Tries nothing again."""


@frozen(init=False)
class RetryTopics:
    """Try a failed record again later, by way of a topic for each delay.

    The record goes to `{topic}-retry-5000` (5 s in milliseconds, as Spring names such topics), is
    read back when it is due, and if it fails goes to the topic of the next delay. Others overtake
    it meanwhile, so this gives up the order of a key. Spring has two further ways to name the
    topics, which `suffix` chooses.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    delays_s: tuple[float, ...]
    """Seconds before each further attempt."""
    first: Retry
    """The attempts in place before a record goes to a topic."""
    suffix: Suffix
    """How the topics' names end: "delay" for `{topic}-retry-5000`, "index" for `{topic}-retry-0`,
    "none" for the one topic `{topic}-retry`, which a record goes through once for each delay."""

    def __init__(self, *delays_s: float, first: Retry = ONCE, suffix: Suffix = "delay") -> None:
        """Give the delays in seconds, in order; with the suffix "none" all are the same."""
        if not delays_s:
            raise ConfigurationError("RetryTopics needs the seconds of one delay at least")
        for delay_s in delays_s:
            _check_number("a delay", delay_s, 0.001, MAX_DELAY_S)
        check_choice("suffix", suffix, Suffix)
        names = set(map(delay_ms, delays_s))
        if suffix == "delay" and len(names) < len(delays_s):
            raise ConfigurationError(
                f"Each delay of RetryTopics has its topic: {delays_s} repeats. For Spring's names "
                "with a fixed delay give suffix='none', or 'index'"
            )
        if suffix == "none" and len(names) > 1:
            raise ConfigurationError(
                f"One topic for all attempts has one delay, not {delays_s}: give suffix='index'"
            )
        if not isinstance(first, Retry):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"first is a Retry, not {first!r}")
        if suffix == "none" and first.attempts + len(delays_s) > MAX_ATTEMPTS:
            # Else attempts could not tell any more where a record stands in its one topic.
            raise ConfigurationError(f"{MAX_ATTEMPTS} attempts are the most, those in place too")
        self.__attrs_init__(delays_s, first, suffix)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    def topic(self, first_topic: str, number: int) -> str:
        """Return the name of the topic for delay `number`, from 0."""
        if self.suffix == "none":
            return f"{first_topic}-retry"
        end = number if self.suffix == "index" else delay_ms(self.delays_s[number])
        return f"{first_topic}-retry-{end}"


def delay_ms(delay_s: float) -> int:
    """Return a delay in whole milliseconds."""
    return round(delay_s * 1000)


@frozen
class Stop:
    """End the listener with the error. The record is not finished, and comes again."""


@frozen
class DeadLetter:
    """Write a failed record to a topic of its own, with headers that say why, and finish it.

    A record that cannot be written is held, shown in `status()`, and tried again until the topic
    takes it. A database that is down must not empty the topic into the dead letters, so there are
    limits, past which the listener stops with `TooManyDeadLetters`.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    topic: str = "{topic}-dlt"
    """The topic to write to; `{topic}` stands for the one that the record came from at first."""
    partition: Literal["same", "key"] = "same"
    """The partition to write to: that of the same number, or the one that the key decides on. A
    number that the topic does not have falls back on the key."""
    max_consecutive: int | None = None
    """The number of failures in a row that are written, None for any number."""
    max_ratio: float | None = None
    """The part, from 0 to 1, of the records of the last `window_s` that may be written, None for
    all. It counts from the tenth record on."""
    window_s: float = 60.0
    """The seconds that `max_ratio` looks back."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.topic, str) or not is_topic_name(self.topic_for("x")):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"{self.topic!r:.300} cannot name a topic of dead letters; '{{topic}}-dlt' can"
            )
        if self.partition not in get_args(Literal["same", "key"]):
            raise ConfigurationError(f"partition is 'same' or 'key', not {self.partition!r:.300}")
        if self.max_consecutive is not None:
            _check_number("max_consecutive", self.max_consecutive, 1, math.inf, whole=True)
        if self.max_ratio is not None:
            _check_number("max_ratio", self.max_ratio, 0, 1)
        _check_number("window_s", self.window_s, 0.001, MAX_DELAY_S)

    def check_topics(self, first_topics: Iterable[str]) -> None:
        """Raise a ConfigurationError unless there can be a topic for each of these."""
        for first_topic in first_topics:
            if not is_topic_name(topic := self.topic_for(first_topic)):
                raise ConfigurationError(
                    f"DeadLetter(topic={self.topic!r}) makes {topic!r} of {first_topic!r}, which "
                    f"cannot be a topic: {TOPIC_RULE}"
                )

    def topic_for(self, first_topic: str) -> str:
        """Return the topic of the dead letters of records that came from `first_topic` at first."""
        return self.topic.replace("{topic}", first_topic)


Verdict = Stop | Skip | DeadLetter
"""The fate of a record that has failed for good."""

OnFailure = Verdict | Callable[["Delivery[Any]", Exception], Verdict]
"""A verdict, or a function that takes the delivery and the error and returns one."""


@frozen
class Batch:
    """Hand records to the handler in lists of one partition, or with `order="key"` of one key.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    size: int = 500
    """The largest number of records of a list."""
    interval_s: float = 0.2
    """Seconds that the first record of a list waits for others."""

    def __attrs_post_init__(self) -> None:
        _check_number("size", self.size, 1, math.inf, whole=True)
        _check_number("interval_s", self.interval_s, 0, 3600)


@frozen
class Transaction:
    """Commit transactions so often, for a processor with `exactly_once`.

    It commits after `every` records whose handlers have ended, or `interval_s` seconds after the
    first of them, whichever comes first. Whoever reads committed records sees what handlers send
    that much later.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    every: int = 500
    """The number of records after which a transaction is committed."""
    interval_s: float = 0.2
    """Seconds from a transaction's first record to its commit."""

    def __attrs_post_init__(self) -> None:
        _check_number("every", self.every, 1, math.inf, whole=True)
        # A broker aborts a transaction that is open for longer than the producer has asked for.
        _check_number("interval_s", self.interval_s, 0, 5)


@frozen
class Send:
    """A record that a handler returns to have it sent before its own record counts as finished."""

    topic: str
    """The topic to send to."""
    value: Any
    """Bytes, None, or what one of the listener's `serializers` takes."""
    key: bytes | None = field(default=None, kw_only=True)
    """The key, by which the partition is chosen unless `partition` says it."""
    headers: Sequence[tuple[str, bytes]] = field(default=(), kw_only=True)
    """The names and values of the headers."""
    partition: int | None = field(default=None, kw_only=True)
    """The number of the partition, None to leave it to the key."""
    timestamp_ms: int | None = field(default=None, kw_only=True)
    """The record's time in milliseconds since the epoch, None for the time of sending."""


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise a ConfigurationError unless `value` is one of the `Literal` `choices`."""
    if value not in get_args(choices):
        allowed = ", ".join(map(repr, get_args(choices)))
        raise ConfigurationError(f"{name} is one of {allowed}, not {value!r:.300}")


def check_failure_policy(on_failure: object) -> None:
    """Raise a ConfigurationError unless this can say what becomes of a failed record."""
    if isinstance(on_failure, type) or not (
        isinstance(on_failure, Stop | Skip | DeadLetter) or callable(on_failure)
    ):
        raise ConfigurationError(
            "on_failure is Stop(), Skip(), DeadLetter(...) or a function of the delivery and the "
            f"error that returns one of these, not {on_failure!r:.300}"
        )
