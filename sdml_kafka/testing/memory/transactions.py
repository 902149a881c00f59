"""A producer of transactions of the in-memory broker.

Its records are in their partitions at once, and nobody reads them before the commit, nor anything
that comes after them. A commit of the broker is one step; it can be held, lost on its way, or
carried out without an answer.
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from logging import getLogger
from typing import Literal

import anyio
import anyio.lowlevel

from sdml_kafka.errors import (
    ProducerFailed,
    ProducerFenced,
    SendFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.log_fields import fields
from sdml_kafka.testing.memory.faults import next_failure
from sdml_kafka.testing.memory.group import MemoryGroupMetadata
from sdml_kafka.testing.memory.log import Misuse
from sdml_kafka.testing.memory.placement import Placement
from sdml_kafka.testing.memory.state import State, Transaction, now, soon
from sdml_kafka.testing.memory.topics import Topics
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.transactions import GroupOffsets

CLOSED = "the producer is closed"
OnFailed = Callable[[Exception], None]

_log = getLogger("sdml_kafka.testing")


class MemoryTransactions:
    """The port's `TransactionalProducer`, connected to the in-memory broker."""

    def __init__(
        self,
        state: State,
        topics: Topics,
        placement: Placement,
        client_id: str,
        transactional_id: str,
        timeout_s: float,
    ) -> None:
        self._state = state
        self._topics = topics
        self._placement = placement
        self.client_id = client_id
        self._id = transactional_id
        self._timeout_s = timeout_s
        self._is_open = self._is_ending = False
        self._failure: ProducerFailed | None = None
        self._transaction: Transaction | None = None
        self._in_doubt: Literal["commit", "abort"] | None = None
        """The call that has to be made once more."""
        self._waiting: deque[tuple[Message, OnFailed]] = deque()
        """The records that have not reached the broker."""
        self._reports: deque[Callable[[], object]] = deque()
        """The calls for outcomes that are due."""

    @property
    def unreachable(self) -> Mapping[str, str]:
        return {"0": "memory: it is down"} if self._state.faults.down else {}

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        if self._is_open or self._failure is not None:
            raise Misuse("started twice")
        self._placement.creates_topics = creates_topics
        await anyio.lowlevel.checkpoint()
        await self._state.start_producer(self.client_id, timeout_s)
        if (fence := self._state.fences.get(self._id)) is not None:
            fence(ProducerFenced(f"another producer has taken the transactional id {self._id!r}"))
        self._state.fences[self._id] = self._fence
        self._is_open = True

    # -- send ----------------------------------------------------------------------------

    def send(self, message: Message, on_failed: OnFailed) -> None:
        if not callable(on_failed):
            raise Misuse(f"send with {on_failed!r}, which cannot be called")
        if self._is_ending or self._in_doubt is not None:
            raise Misuse("a record is sent while its transaction ends")
        if not self._is_open and self._failure is None:
            raise Misuse("send before start")
        if self._failure is not None:
            self._reports.append(
                partial(on_failed, SendFailed(f"The record was not sent: {self._failure}."))
            )
        else:
            self._begun()
            self._waiting.append((message, on_failed))
            self._deliver()
        soon(self._report)

    def _begun(self) -> Transaction:
        """Return the open transaction, which may begin now."""
        if self._transaction is None:
            self._transaction = Transaction(self._state.logs, now() + self._timeout_s)
            self._state.transactions.append(self._transaction)
            self._state.signal.fire()
        return self._transaction

    def _deliver(self) -> None:
        """Let the records arrive that wait, if a broker can be reached."""
        faults = self._state.faults
        self._state.expire(now())
        while self._waiting and not faults.down and not faults.holds_sends:
            self._arrive(*self._waiting.popleft())

    def _arrive(self, message: Message, on_failed: OnFailed) -> None:
        transaction = self._begun()
        failure = next_failure(self._state.faults.sends, self.client_id)
        error = None if failure is None else failure.error
        place = self._placement.place(message)
        if isinstance(place, Exception):
            error = error or place
        elif transaction.outcome is not None or transaction.fault is not None:
            error = error or SendFailed("The record was not sent: its transaction has failed.")
        elif error is None:
            record = self._topics.append(place, message)
            self._state.logs[place].enlist(transaction, record.offset)
            transaction.partitions.add(place)
            if (receipt := message.receipt) is not None:
                acknowledged = partial(receipt.acknowledged, record.partition, record.offset, None)
                self._reports.append(acknowledged)
        if error is not None:
            transaction.fault = transaction.fault or error
            self._reports.append(partial(on_failed, error))

    def _report(self) -> None:
        while self._reports:
            report = self._reports.popleft()
            try:
                report()
            except Exception as error:
                text = "a callback for the outcome of a record must not raise"
                _log.exception(text, extra=fields(error=error))

    async def flush(self, timeout_s: float) -> bool:
        await anyio.lowlevel.checkpoint()
        return await self._all_arrived(now() + timeout_s)

    async def _all_arrived(self, deadline: float) -> bool:
        self._deliver()
        while self._waiting and now() < deadline:
            await self._state.signal.wait(deadline)
            self._deliver()
        self._report()
        return not self._waiting

    # -- commit and abort ----------------------------------------------------------------

    async def commit(self, offsets: GroupOffsets | None, timeout_s: float) -> None:
        if self._in_doubt == "abort":
            raise Misuse("a commit while an abort is in doubt")
        deadline = now() + timeout_s
        with self._ending("commit"):
            await anyio.lowlevel.checkpoint()
            self._check_open()
            if self._transaction is None and offsets is None:
                return
            transaction = self._begun()
            if self._state.faults.commit_latency_s:
                await anyio.sleep(min(self._state.faults.commit_latency_s, timeout_s))
            have_arrived = await self._all_arrived(deadline)
            if not (have_arrived and await self._state.wait_for_broker(deadline)):
                raise TransactionInDoubt("no broker answered in time")
            self._check_open()
            if transaction.outcome is None:
                self._prepare(transaction, offsets)
                self._order_failure(transaction)
                await self._carry_out(transaction, deadline)
            self._conclude(transaction)

    def _prepare(self, transaction: Transaction, offsets: GroupOffsets | None) -> None:
        """Raise what keeps the transaction from being committed; stage its offsets."""
        if transaction.fault is None and offsets is not None and transaction.staged is None:
            metadata, commits = offsets
            if not isinstance(metadata, MemoryGroupMetadata):
                raise Misuse(f"{metadata!r} is no group metadata of this broker")
            staged = metadata.group.stage(metadata, commits)
            if isinstance(staged, str):
                transaction.fault = TransactionFailed(f"the group refuses the offsets: {staged}")
            else:
                transaction.staged = staged
        if isinstance(transaction.fault, TransactionFailed):
            raise transaction.fault
        if transaction.fault is not None:
            raise TransactionFailed(
                f"a record was not taken: {transaction.fault}"
            ) from transaction.fault

    def _order_failure(self, transaction: Transaction) -> None:
        failure = next_failure(self._state.faults.transactions, self.client_id)
        if failure is None:
            return
        if failure.applied:
            self._state.end(transaction, committed=True)
        elif isinstance(failure.error, TransactionFailed):
            transaction.fault = failure.error
        if isinstance(failure.error, ProducerFailed):
            self.fail(failure.error)
        raise failure.error

    async def _carry_out(self, transaction: Transaction, deadline: float) -> None:
        if self._state.faults.holds_transactions:
            if transaction not in self._state.held_ends:
                self._state.held_ends.append(transaction)
        elif transaction not in self._state.held_ends:
            self._state.end(transaction, committed=True)
        while transaction.outcome is None:
            if now() >= deadline:
                raise TransactionInDoubt("no answer came in time: it is committed or not")
            await self._state.signal.wait(min(deadline, self._state.next_expiry()))
            self._state.expire(now())
            self._check_open()

    def _conclude(self, transaction: Transaction) -> None:
        self._transaction = None
        if transaction.outcome == "aborted":
            self.fail(ProducerFenced("the transaction took too long, so the broker has aborted it"))
            self._check_open()

    async def abort(self, timeout_s: float) -> None:
        if self._in_doubt == "commit":
            raise TransactionInDoubt("the commit is in doubt: nothing but the same commit ends it")
        deadline = now() + timeout_s
        with self._ending("abort"):
            await anyio.lowlevel.checkpoint()
            self._check_open()
            self._drop("its transaction was aborted")
            if (transaction := self._transaction) is None:
                return
            if not await self._state.wait_for_broker(deadline):
                raise TransactionInDoubt("no broker answered in time")
            self._check_open()
            self._state.expire(now())
            if transaction.outcome is None:
                self._state.end(transaction, committed=False)
                self._transaction = None
            else:
                self._conclude(transaction)

    @contextmanager
    def _ending(self, call: Literal["commit", "abort"]) -> Generator[None]:
        """Let one call at a time end the transaction; without an outcome it is in doubt."""
        if self._is_ending:
            raise Misuse("two calls at once end one transaction")
        self._is_ending = True
        before, self._in_doubt = self._in_doubt, call
        try:
            yield
        except TransactionInDoubt:
            raise
        except Misuse:
            self._in_doubt = before
            raise
        except Exception:
            self._in_doubt = None
            raise
        else:
            self._in_doubt = None
        finally:
            self._is_ending = False

    # -- the end -------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self._is_open:
            raise Misuse("a transaction before start")

    def fail(self, error: ProducerFailed) -> None:
        """End for good; the broker aborts the open transaction if it can be reached."""
        if self._failure is not None:
            return
        self._failure, self._is_open = error, False
        self._drop(str(error))
        transaction = self._transaction
        is_gone = transaction is None or transaction in self._state.held_ends
        if transaction is not None and not is_gone and not self._state.faults.down:
            self._state.end(transaction, committed=False)
        self._state.signal.fire()

    def _drop(self, why: str) -> None:
        """Fail the records that have not reached the broker."""
        for _, on_failed in self._waiting:
            not_sent = SendFailed(f"The record was not sent: {why}.")
            self._reports.append(partial(on_failed, not_sent))
        self._waiting.clear()
        self._report()

    def _fence(self, error: ProducerFenced) -> None:
        """End since another producer has taken the id."""
        self.fail(error)
        if self._transaction is not None:
            self._state.end(self._transaction, committed=False)

    async def close(self, timeout_s: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.close_at_once()

    def close_at_once(self) -> None:
        """Close; a commit that is on its way is carried out or not, and nobody learns of it."""
        if self._state.fences.get(self._id) == self._fence:
            del self._state.fences[self._id]
        self.fail(ProducerFailed(CLOSED))
