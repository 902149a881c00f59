"""An open transaction of a program: it takes records, and a record that fails spoils it."""

from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from sdml_kafka.errors import ConfigurationError, TransactionFailed
from sdml_kafka.producer.pending_sends import PendingSend, Sent


class SendOne[R](Protocol):
    """Sends a record, as `KafkaProducer.send` and `send_soon` do."""

    def __call__(
        self,
        topic: str,
        value: Any,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
        timeout_s: float | None = None,
    ) -> Awaitable[R]: ...


class TransactionState:
    """Knows if a transaction takes records, and the error that has spoiled it."""

    def __init__(self) -> None:
        self._is_over = False
        self._fault: Exception | None = None

    @contextmanager
    def taking(self) -> Generator[None]:
        """Let a record be sent inside the context, whose failure spoils the transaction.

        Raises:
            ConfigurationError: The transaction is over.
        """
        if self._is_over:
            raise ConfigurationError("The transaction is over: open a new one")
        try:
            yield
        except Exception as error:
            self.spoil(error)
            raise

    def spoil(self, error: Exception) -> None:
        """Let the transaction fail, since a record of it has."""
        self._fault = self._fault or error

    def close(self) -> None:
        """Take no more records, and raise what has spoiled the transaction."""
        self._is_over = True
        if self._fault is not None:
            raise TransactionFailed(f"a record was not taken: {self._fault}") from self._fault


class OpenTransaction:
    """A transaction that is open: what is sent in it is read once it has been committed."""

    def __init__(
        self, send: SendOne[Sent], send_soon: SendOne[PendingSend], state: TransactionState
    ) -> None:
        """Use `KafkaProducer.transaction`, which makes these."""
        self._send = send
        self._send_soon = send_soon
        self._state = state

    async def send(
        self,
        topic: str,
        value: Any,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
        timeout_s: float | None = None,
    ) -> Sent:
        """Send a record in this transaction, and wait until the broker has it.

        The arguments are those of `KafkaProducer.send`. A record that fails spoils the transaction,
        also if the program goes on.

        Returns:
            The place of the record, which nobody reads before the commit.

        Raises:
            TransactionFailed: The record was not taken, since its transaction has failed.
            SendFailed: The record was not taken; see `KafkaProducer.send` for its kinds.
            ConfigurationError: The transaction is over, or no broker could take the record.
        """
        with self._state.taking():
            return await self._send(
                topic,
                value,
                key=key,
                headers=headers,
                partition=partition,
                timestamp_ms=timestamp_ms,
                timeout_s=timeout_s,
            )

    async def send_soon(
        self,
        topic: str,
        value: Any,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
        timeout_s: float | None = None,
    ) -> PendingSend:
        """Send a record in this transaction, and wait for room only; else as `send`."""
        with self._state.taking():
            return await self._send_soon(
                topic,
                value,
                key=key,
                headers=headers,
                partition=partition,
                timestamp_ms=timestamp_ms,
                timeout_s=timeout_s,
            )
