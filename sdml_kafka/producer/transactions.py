"""The transactions of a producer: records that are read together, or not at all.

How this works. An actor keeps a producer of transactions, as the sender keeps a producer. A
transaction borrows it: its records go through the table of those that wait, and at its end the
producer commits or aborts. If nobody knows what became of that, the producer is replaced, since a
new one with the same id first ends what the one before has left. A producer that was fenced is not
replaced: its transaction raises that, and so does each one after it.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
from attrs import define

from sdml_kafka.errors import (
    ConfigurationError,
    ProducerFailed,
    ProducerFenced,
    SdmlKafkaError,
    SendFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.lifecycle import was_cancelled
from sdml_kafka.producer.open_transaction import TransactionState
from sdml_kafka.producer.transaction_turns import TransactionTurns
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces.producer import Message, OnSent, Receipt, always
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions, TransactionalProducer

MAX_CANCELLED_END_S = 2.0
"""Seconds that the end of a transaction waits for brokers when the program was cancelled."""

NOT_OPEN = (
    "this producer has a transactional_id, so each of its records is part of a transaction: "
    "`async with producer.transaction() as transaction: await transaction.send(...)`"
)


class _Receipt:
    """Settles a record that the broker has."""

    __slots__ = ("_on_sent", "_receipt")

    def __init__(self, receipt: Receipt, on_sent: OnSent) -> None:
        self._receipt = receipt
        self._on_sent = on_sent

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        self._receipt.acknowledged(partition, offset, timestamp_ms)
        self._on_sent(None)


@define
class TransactionCounts:
    """Numbers since the producer was entered."""

    committed: int = 0
    aborted: int = 0


class TransactionOutbox(Outbox):
    """Lends the producer of transactions to one transaction after another."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: TransactionCounts = TransactionCounts()
        self._lent: TransactionalProducer | None = None
        self._turns = TransactionTurns()
        self._last: TransactionalProducer | None = None
        """The producer that was lent last, which knows why no broker can be reached."""
        self._has_lent: anyio.Event | None = None
        self._is_spent: anyio.Event | None = None
        self._failure: ProducerFailed | None = None
        """The error that the present producer has failed with."""
        self._end: ProducerFailed | None = None
        """Why no producer can be had any more."""
        self._was_raised: bool = False
        """True if a transaction has raised that, so that the program knows."""

    @property
    def connected(self) -> bool:
        """True if there is a producer."""
        return self._lent is not None

    @property
    def unreachable(self) -> Mapping[str, str]:
        """The brokers that were not reached lately, with the address and the reason of each."""
        producer = self._last  # other threads may ask
        return {} if producer is None else producer.unreachable

    def _keep(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        def failed(error: Exception) -> None:
            if type(error) is SendFailed:  # which would be sent again
                on_sent(
                    TransactionFailed(f"the record was not taken with its transaction: {error}")
                )
            else:
                on_sent(error)

        if (producer := self._lent) is None:
            on_sent(TransactionFailed("the record was not sent: the producer has failed"))
        else:
            assert message.receipt is not None
            producer.send(message._replace(receipt=_Receipt(message.receipt, on_sent)), failed)

    def note_failed(self, error: Exception) -> None:
        """Spoil the open transaction, since a record has failed."""
        if self._turns.open is not None:
            self._turns.open.spoil(error)

    # -- the actor's side ----------------------------------------------------------------

    async def lend(self, producer: TransactionalProducer) -> None:
        """Lend a producer until it is spent.

        Raises:
            ProducerFailed: It has failed, and not only to answer in time; but a producer that was
                fenced only if no transaction has raised that.
        """
        self._lent = self._last = producer
        self._is_spent, self._failure = anyio.Event(), None
        if self._has_lent is not None:
            self._has_lent.set()
        try:
            await self._is_spent.wait()
        finally:
            self._lent = None
        if self._failure is not None and not self.is_over:
            raise self._failure

    @property
    def is_over(self) -> bool:
        """True if no producer can be had any more, and the program knows why."""
        return self._end is not None and self._was_raised

    # -- a transaction's side ------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self, state: TransactionState, timeout_s: float) -> AsyncGenerator[None]:
        """Commit what is sent inside the context, or abort it if that raises.

        Raises:
            TransactionFailed: Nothing of it has happened.
            TransactionInDoubt: No broker has answered within `timeout_s`.
            ProducerFailed: The producer has failed.
            ConfigurationError: The task has a transaction open already, or was started within one
                that has not ended within `timeout_s`.
        """
        async with self._turns.turn(state, timeout_s):
            producer = await self._borrowed(timeout_s)
            try:
                yield
                state.close()
                await self._commit(producer, timeout_s)
            except BaseException as error:
                with suppress(TransactionFailed):
                    state.close()
                patience_s = MAX_CANCELLED_END_S if was_cancelled(error) else timeout_s
                failure = await self._clean_up(producer, patience_s)
                self._was_raised = error is self._end
                if isinstance(error, TransactionFailed) and isinstance(failure, ProducerFenced):
                    self._was_raised = True
                    raise failure from error  # which is why
                raise
            self.counts.committed += 1

    async def _borrowed(self, timeout_s: float) -> TransactionalProducer:
        with anyio.move_on_after(timeout_s):
            while self._lent is None and self._end is None:
                self._has_lent = anyio.Event()
                await self._has_lent.wait()
        if self._lent is not None:
            return self._lent
        if self._end is not None:
            raise self._end.with_traceback(None)  # it would grow with each raise
        raise ProducerFailed(f"no producer was there within {timeout_s:g} s")

    async def _commit(self, producer: TransactionalProducer, timeout_s: float) -> None:
        deadline = anyio.current_time() + timeout_s
        while True:
            left_s = deadline - anyio.current_time()
            try:
                await producer.commit(None, max(left_s, 0.1))
            except TransactionInDoubt:
                if left_s <= 0:
                    raise
            except ProducerFailed as failure:
                self._replace(failure)
                raise
            else:
                return

    async def _clean_up(
        self, producer: TransactionalProducer, timeout_s: float
    ) -> ProducerFailed | None:
        """Abort what is open, and return what the producer has failed with.

        A producer of which no abort can be had is replaced.
        """
        if self._lent is not producer:
            return None
        with anyio.CancelScope(shield=True):
            try:
                await producer.abort(timeout_s)
            except ProducerFailed as failure:
                self._replace(failure)
                return failure
            except SdmlKafkaError:
                self._replace(None)
            else:
                self.counts.aborted += 1
        return None

    def _replace(self, failure: ProducerFailed | None) -> None:
        self._failure = failure
        if isinstance(failure, ProducerFenced):
            self._end = failure
        self._lent = None
        assert self._is_spent is not None
        self._is_spent.set()

    def close(self) -> None:
        """Lend no producer any more."""
        super().close()
        self._end = self._end or ProducerFailed("the producer was left")
        if self._has_lent is not None:
            self._has_lent.set()


class TransactionKeeper(Actor):
    """Keeps a producer of transactions, and replaces one of which nobody knows where it stands."""

    def __init__(
        self, connect: ConnectTransactions, outbox: TransactionOutbox, start_timeout_s: float
    ) -> None:
        self._connect = connect
        self._outbox = outbox
        self._start_timeout_s = start_timeout_s

    async def run(self, life: Life) -> None:
        """Lend one producer after another."""
        with life.cancel_on_stop():
            while not self._outbox.is_over:
                deadline = anyio.current_time() + self._start_timeout_s
                async with connected(self._connect, _start, deadline) as producer:
                    life.started()
                    await self._outbox.lend(producer)
            await anyio.sleep_forever()


async def _start(producer: TransactionalProducer, left_s: float) -> None:
    await producer.start(left_s, creates_topics=True)


def check_transactional_id(transactional_id: object) -> None:
    """Raise ConfigurationError if that is no id."""
    if not isinstance(transactional_id, str) or not transactional_id:
        raise ConfigurationError(
            f"transactional_id is a text, one for each producer that runs, not "
            f"{transactional_id!r:.100}"
        )
