"""The port's producer of transactions over librdkafka.

How this works
--------------
A transaction is begun at once when the one before has ended: that is a matter of the client alone,
and costs nothing until a record is sent. So `send` is that of any producer. A commit waits until
each record has its outcome, since librdkafka would wait for that in its own way, with the
interpreter's lock taken for each; then the thread of the client makes the calls that block
(`ending.py`).

Rules for whoever edits this file:

- From the first call that may end a transaction on, `_ending` stands until its outcome is known,
  and nothing else happens to the transaction.
- A transaction that was aborted is over once each of its records was reported, or these reports
  would spoil the next one.
- A producer that has failed stays failed: each call raises the same error.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf
from time import monotonic
from uuid import uuid4

import anyio
from confluent_kafka import KafkaError, KafkaException, Producer

from sdml_kafka.errors import (
    AuthorizationFailed,
    ProducerFailed,
    SdmlKafkaError,
    SendFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.transactions import (
    ConnectTransactions,
    GroupOffsets,
    TransactionalProducer,
)
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.connection_failures import Failure
from sdml_kafka.transport.librdkafka.lost_brokers import LOST
from sdml_kafka.transport.librdkafka.options import ID, TRANSACTION_TIMEOUT, Settings
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop, ThreadEnded
from sdml_kafka.transport.librdkafka.producer.admin import Admin
from sdml_kafka.transport.librdkafka.producer.ending import Attempt, Ending
from sdml_kafka.transport.librdkafka.producer.transactional_sending import (
    OnFailed,
    TransactionalSending,
)
from sdml_kafka.transport.librdkafka.token_waits import made_apart

CLOSED = "the producer is closed"
CLOSE_TIMEOUT_S = 2.0
PURGE_TIMEOUT_S = 0.5


def connect_transactions(settings: Settings, prefix: str = "") -> ConnectTransactions:
    """Return the port's `ConnectTransactions` over producers with this configuration.

    Without an id in it each producer has a new one, which begins with the prefix.
    """

    @asynccontextmanager
    async def open_transactions() -> AsyncGenerator[TransactionalProducer]:
        own_id = settings.get(ID) or f"{prefix}-{uuid4().hex}"
        producer = LibrdkafkaTransactions({**settings, ID: own_id})
        try:
            yield producer
        finally:
            await producer.close(CLOSE_TIMEOUT_S)

    return open_transactions


class LibrdkafkaTransactions:
    """Makes transactions over librdkafka, in the program's thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._id: str = settings[ID]
        self._loop = ProgramLoop()
        self._admin: Admin | None = None
        self._sending: TransactionalSending | None = None
        self._ending: Ending | None = None
        """The commit or the abort that has no outcome yet."""
        self._failure: SdmlKafkaError | None = None
        self.unreachable: Mapping[str, str] = {}
        self._is_closing = False

    # -- start ---------------------------------------------------------------------------

    async def start(self, timeout_s: float, *, creates_topics: bool = True) -> None:
        deadline = monotonic() + timeout_s
        settings = {**self._settings, "allow.auto.create.topics": creates_topics}
        plain = {name: value for name, value in settings.items() if name != ID}
        self._admin = await made_apart(settings, partial(Admin, self._loop, plain))
        self._settings = settings
        await self._admin.find_broker(timeout_s)
        self._admin.close()
        await self._open(deadline, alone=False)

    async def _open(self, deadline: float, *, alone: bool) -> None:
        """Make the client, and let the brokers know of it, which fences the one before."""
        creates_topics = self._settings["allow.auto.create.topics"]
        parts = self._loop, self._settings, self._take_error
        make = partial(TransactionalSending, *parts, creates_topics=creates_topics, alone=alone)
        self._sending = await made_apart(self._settings, make)

        def begin(attempt: Attempt, producer: Producer) -> None:
            attempt.repeat(producer.init_transactions)
            producer.begin_transaction()

        try:
            done = await self._call(begin, deadline)
        except KafkaException as error:
            raise error_mapping.from_init(error.args[0], self._id) from error
        if not done:
            raise error_mapping.from_init(KafkaError(KafkaError._TIMED_OUT), self._id)

    async def _call(self, step: Callable[[Attempt, Producer], None], deadline: float) -> bool:
        """Have the thread make calls, and return whether it has ended in time.

        Raises:
            KafkaException: The client has raised it.
        """
        sending, attempt = self._started(), Attempt(deadline)
        try:
            with anyio.move_on_after(max(0.0, attempt.left_s)):
                await sending.call(partial(step, attempt))
                return True
        except ThreadEnded:
            raise self._failed(ProducerFailed(CLOSED)) from None
        finally:
            attempt.is_wanted = False
        return False

    def _started(self) -> TransactionalSending:
        if self._failure is not None:
            raise self._failure
        if self._sending is None:
            raise ProducerFailed("the producer of transactions is not started")
        return self._sending

    def _failed(self, failure: SdmlKafkaError) -> SdmlKafkaError:
        self._failure = self._failure or failure
        return self._failure

    def _take_error(self, error: KafkaError) -> None:
        if (failure := Failure.of(error)) is not None:
            protocol = str(self._settings.get("security.protocol", "plaintext"))
            self.unreachable = failure.by_broker(protocol)
        # The calls that end a transaction raise what the client knows itself.
        if error.code() == KafkaError._FATAL and error.str() == LOST:
            self._failed(ProducerFailed(LOST))

    # -- records -------------------------------------------------------------------------

    def send(self, message: Message, on_failed: Callable[[Exception], None]) -> None:
        if self._failure is None and self._sending is not None and self._ending is None:
            self._sending.send(message, OnFailed(on_failed))
        else:
            why = self._failure or "its transaction is ending, or the producer is not started"
            error = SendFailed(f"The record for {message.topic!r} was not sent: {why}.")
            self._loop.call_soon(partial(on_failed, error))

    async def flush(self, timeout_s: float) -> bool:
        return self._sending is None or await self._sending.wait_settled(timeout_s)

    # -- commit and abort ----------------------------------------------------------------

    async def commit(self, offsets: GroupOffsets | None, timeout_s: float) -> None:
        sending, deadline = self._started(), monotonic() + timeout_s
        if self._ending is None:
            if not await sending.wait_settled(timeout_s):
                raise TransactionInDoubt(
                    f"the records were not acknowledged within {timeout_s:g} s: commit once more"
                )
            if self._ending is None:
                if sending.fault is not None:
                    raise TransactionFailed(f"a record was not taken: {sending.fault}") from (
                        sending.fault
                    )
                if sending.began_at is None and offsets is None:
                    return
                self._ending = Ending(offsets, commits=True)
        if not self._ending.commits:
            raise TransactionInDoubt("an abort is in doubt: abort once more")
        await self._end(self._ending, deadline)
        if sending.is_alone:
            await self._replace(deadline, alone=False)

    async def abort(self, timeout_s: float) -> None:
        sending, deadline = self._started(), monotonic() + timeout_s
        if self._ending is None:
            sending.drop()
            self._ending = Ending(None, commits=False)
        elif self._ending.commits:
            raise TransactionInDoubt(
                "the commit is in doubt: nothing but the same commit ends the transaction"
            )
        was_refused = sending.was_refused
        await self._end(self._ending, deadline)
        if was_refused and not self._is_closing:
            await self._replace(deadline, alone=True)

    async def _end(self, ending: Ending, deadline: float) -> None:
        sending = self._started()

        def step(attempt: Attempt, producer: Producer) -> None:
            ending.carry_out(producer, attempt)

        try:
            if not await self._call(step, deadline):
                raise TransactionInDoubt("no answer came in time: make the same call once more")
        except KafkaException as error:
            if not ending.commits and error.args[0].code() == KafkaError.INVALID_TXN_STATE:
                await self._go_on_anew(deadline)
                return
            began_at, timeout_ms = sending.began_at, self._settings.get(TRANSACTION_TIMEOUT, inf)
            open_s = 0.0 if began_at is None else monotonic() - began_at
            too_long_s = open_s if open_s * 1000 >= timeout_ms else None
            failure = error_mapping.from_transaction(error.args[0], self._id, too_long_s)
            if isinstance(failure, TransactionFailed | AuthorizationFailed):
                self._ending = None
            elif not isinstance(failure, TransactionInDoubt):
                self._failed(failure)
            raise failure from error
        await sending.flush(PURGE_TIMEOUT_S)
        self._ending = None
        sending.begin()

    async def _go_on_anew(self, deadline: float) -> None:
        """Replace a client that has aborted what the broker had not begun.

        Its first records were on their way while the broker was still ending the transaction
        before. librdkafka counts them, asks for an abort, is told that nothing is open, and ends.
        """
        sending = self._started()
        await sending.flush(PURGE_TIMEOUT_S)
        self._ending = None
        await self._replace(deadline, alone=sending.is_alone)

    async def _replace(self, deadline: float, *, alone: bool) -> None:
        """Go on with a client that sends each record alone, or with one that does not."""
        sending = self._started()
        try:
            await sending.stop(CLOSE_TIMEOUT_S)
            await self._open(deadline, alone=alone)
        except SdmlKafkaError as error:
            self._failed(ProducerFailed(f"a new client could not be opened: {error}"))

    # -- close ---------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        with anyio.CancelScope(shield=True):  # each step is bounded
            if (sending := self._sending) is not None:
                await self._abort_quietly(sending, timeout_s / 2)
                self._failed(ProducerFailed(CLOSED))
                sending.refuse(CLOSED)
                sending.give_up()
                await sending.flush(PURGE_TIMEOUT_S)
                await sending.stop(timeout_s / 2)
        self._failed(ProducerFailed(CLOSED))
        if self._admin is not None:
            self._admin.close()

    async def _abort_quietly(self, sending: TransactionalSending, timeout_s: float) -> None:
        """Abort what is open, so that those who read committed records need not wait."""
        is_open = sending.began_at is not None and (
            self._ending is None or not self._ending.commits
        )
        if self._failure is None and is_open:
            with suppress(SdmlKafkaError):  # the broker does it once it has taken too long
                await self.abort(timeout_s)
