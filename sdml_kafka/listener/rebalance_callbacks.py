"""The user's own rebalance listener, called on the program's side of the client."""

import inspect
from typing import Protocol

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.interfaces.consumer import OnRebalance
from sdml_kafka.transport.interfaces.records import TopicPartition


class RebalanceListener(Protocol):
    """The methods of a program's rebalance listener, each plain or async."""

    def on_partitions_assigned(self, assigned: set[TopicPartition], /) -> object:
        """Take note of the partitions that are this listener's from now on."""
        ...

    def on_partitions_revoked(self, revoked: set[TopicPartition], /) -> object:
        """Take note of the partitions that were taken away, after their drain."""
        ...


@frozen
class RebalanceCallbacks:
    """The functions for an assignment and for a revocation; None if the user has no listener."""

    on_assigned: OnRebalance | None = None
    on_revoked: OnRebalance | None = None


def callbacks_of(listener: object | None) -> RebalanceCallbacks:
    """Return the callbacks of the user's rebalance listener, if there is one.

    Its methods `on_partitions_assigned` and `on_partitions_revoked` may be plain or async;
    aiokafka's `ConsumerRebalanceListener` has both.

    Raises:
        ConfigurationError: The object lacks a method.
    """
    if listener is None:
        return RebalanceCallbacks()
    return RebalanceCallbacks(
        _callback(listener, "on_partitions_assigned"),
        _callback(listener, "on_partitions_revoked"),
    )


def _callback(listener: object, name: str) -> OnRebalance:
    method = getattr(listener, name, None)
    if not callable(method):
        raise ConfigurationError(f"rebalance_listener has no method {name}")

    async def call(partitions: frozenset[TopicPartition]) -> None:
        outcome = method(set(partitions))
        if inspect.isawaitable(outcome):
            await outcome

    return call
