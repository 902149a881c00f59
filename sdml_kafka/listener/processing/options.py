"""The options of `process` and `processor`, checked once."""

from collections.abc import Callable
from typing import Any, TypedDict

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener.processing.handler import Handler, compile_handler
from sdml_kafka.listener.processing.lanes import NullKey
from sdml_kafka.listener.processing.policies import (
    ONCE,
    Batch,
    DeadLetter,
    OnFailure,
    Order,
    Retry,
    RetryTopics,
    Stop,
    Transaction,
    check_choice,
    check_failure_policy,
)
from sdml_kafka.listener.typed_queue import TURN


class ProcessOptions(TypedDict, total=False):
    """Options of a processor."""

    concurrency: int
    """The number of handlers that run at once, over all partitions; by default 10."""
    order: Order
    """The records that wait for each other: of a "partition" (the default), a "key", or "none"."""
    null_key: NullKey
    """The order of records without a key: "free" of it (the default) or in order with each other,
    "partition"; with `order="key"`."""
    retry: Retry | RetryTopics
    """The further attempts at a failed record; by default none."""
    on_failure: OnFailure
    """The fate of a record that has failed for good; by default `Stop()`."""
    exactly_once: bool | Transaction
    """True if what handlers return as `Send`, dead letters included, and the offsets of their
    records are committed in one transaction, or not at all; a `Transaction` says how often. Needs
    `client="librdkafka"`."""
    name: str
    """The name in logs and `status()`; by default the handler's."""


@frozen
class Options:
    """How a processor works."""

    handler: Handler
    name: str
    concurrency: int
    order: Order
    null_key: NullKey
    batch: Batch | None
    retry: Retry
    """How a record is tried again in place."""
    retry_topics: RetryTopics | None
    """How a record is tried again after that, by way of topics."""
    on_failure: OnFailure
    transaction: Transaction | None = None
    """Says how often transactions are committed, None for a processor without them."""

    @property
    def turn(self) -> int:
        """The number of records of a partition that are taken before those of the next one."""
        return TURN if self.batch is None else max(TURN, self.batch.size)

    @property
    def needs_producer(self) -> bool:
        """True if a producer is needed for certain; a handler may return a `Send` as well."""
        if self.transaction is not None:
            return False  # it has its own
        return isinstance(self.on_failure, DeadLetter) or self.retry_topics is not None


def compile_options(
    handler: Callable[..., Any], batch: Batch | None, options: ProcessOptions
) -> Options:
    """Return the options, with their defaults.

    Raises:
        ConfigurationError: One of them cannot work.
    """
    if unknown := options.keys() - ProcessOptions.__annotations__.keys():
        known = ", ".join(sorted(ProcessOptions.__annotations__))
        raise ConfigurationError(f"unknown: {', '.join(sorted(unknown))}; the options are {known}")
    if not isinstance(batch, Batch | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"batch is a Batch(...), not {batch!r:.300}")
    compiled = compile_handler(handler, takes_batches=batch is not None)
    concurrency = options.get("concurrency", 10)
    if type(concurrency) is not int or concurrency < 1:
        raise ConfigurationError(f"concurrency is 1 or more, not {concurrency!r:.300}")
    order, null_key = options.get("order", "partition"), options.get("null_key", "free")
    check_choice("order", order, Order)
    check_choice("null_key", null_key, NullKey)
    if "null_key" in options and order != "key":
        raise ConfigurationError(f"null_key goes with order='key', not with order={order!r}")
    retry, on_failure = options.get("retry", ONCE), options.get("on_failure", Stop())
    if not isinstance(retry, Retry | RetryTopics):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"retry is a Retry(...) or RetryTopics(...), not {retry!r:.300}")
    topics = retry if isinstance(retry, RetryTopics) else None
    in_place = retry.first if isinstance(retry, RetryTopics) else retry
    check_failure_policy(on_failure)
    name = options.get("name", compiled.name)
    policies = in_place, topics, on_failure, _transaction(options.get("exactly_once", False))
    return Options(compiled, name, concurrency, order, null_key, batch, *policies)


def _transaction(exactly_once: object) -> Transaction | None:
    """Return how often transactions are committed, None without any."""
    if exactly_once is False:
        return None
    if exactly_once is not True and not isinstance(exactly_once, Transaction):
        raise ConfigurationError(
            f"exactly_once is True, False or a Transaction(...), not {exactly_once!r:.300}"
        )
    return Transaction() if exactly_once is True else exactly_once
