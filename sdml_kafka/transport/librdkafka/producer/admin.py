# pyright: basic
# The results of librdkafka's requests are not typed.
"""Create, delete and describe: requests about topics and groups, over a client of their own.

librdkafka answers in a thread of its own, which wakes the task that waits here. A client belongs to
the program's thread, and is always closed there: it must never be left to the garbage collector.
"""

from collections.abc import Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import anyio
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sdml_kafka.errors import ConfigurationError, SendFailed
from sdml_kafka.runtime.waiter import Waiter, wake
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.connection_failures import Failure, unreachable
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.lost_brokers import knows_cluster
from sdml_kafka.transport.librdkafka.options import TOKEN_FUNCTION, Settings, made, secrets_of
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name

CHECK_INTERVAL_S = 0.01
"""Seconds between two looks at a topic that is being created or deleted, or at a start."""
RETRY_S = 0.1
ATTEMPT_S = 2.0
"""Seconds that a broker gets to answer before it is asked again."""
CREATED_LATELY_S = 0.05
"""Seconds within which a broker knows of a topic that another one has created."""
MAX_TIMEOUT_S = 3600.0
"""The longest that librdkafka takes, for requests about groups: the caller waits as it wants."""


class Admin:
    """The administrative requests of the port's `Producer`, and the one that finds a broker."""

    def __init__(
        self, loop: ProgramLoop, settings: Settings, on_all_down: Callable[[], object] = bool
    ) -> None:
        """Make the client, which begins to connect.

        Args:
            loop: The program's loop.
            settings: The configuration of the producer.
            on_all_down: Called if all brokers are down, in the program's thread.

        Raises:
            ConfigurationError: librdkafka refuses the configuration.
        """
        self._loop = loop
        self._servers = str(settings["bootstrap.servers"])
        self._protocol = str(settings.get("security.protocol", "plaintext"))
        self._failures: dict[str, Failure] = {}
        self._all_down = False
        self._no_token: KafkaError | None = None
        """Why there is no token for the login."""
        self._waiters: set[Waiter] = set()
        """Those of the calls that wait for an answer."""
        self._on_all_down = on_all_down
        self._settings = {
            **settings,
            "enable.idempotence": False,
            "error_cb": self._note_error,
            "allow.auto.create.topics": False,
        }
        self._is_closed = False
        self._made: AdminClient = self._new()

    def _new(self) -> AdminClient:
        return made(AdminClient, self._settings, ClientLog(secrets_of(self._settings)))

    @property
    def _client(self) -> AdminClient:
        if self._is_closed:
            raise SendFailed("Nothing was asked: the producer is closed.")
        return self._made

    def close(self) -> None:
        """Close the client, which takes a millisecond, and fail the calls that wait."""
        if not self._is_closed:
            self._is_closed = True
            self._made.__exit__(None, None, None)
            for waiter in self._waiters:
                wake(waiter)

    def renew(self) -> None:
        """Make another client after an outage, since this one may have lost its brokers.

        Calls that wait keep it: they end by their timeout, if it has. No client is made that would
        hold up the program until it has a token.
        """
        if not (self._is_closed or self._waiters or TOKEN_FUNCTION in self._settings):
            self._made.__exit__(None, None, None)
            self._made, self._all_down = self._new(), False

    def _note_error(self, error: KafkaError) -> None:
        if (failure := Failure.of(error)) is not None:
            self._failures[failure.place] = failure
        if error_mapping.is_about_token(error):
            self._no_token = error
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._all_down = True
            self._on_all_down()

    async def find_broker(self, timeout_s: float) -> None:
        """Wait until a broker has answered.

        Raises:
            BrokerUnreachable: No broker can be reached, or none has answered in time.
            AuthenticationFailed: The broker refused the credentials, or the client its certificate.
            SendFailed: The broker answered with an error.
        """
        deadline = anyio.current_time() + timeout_s
        while not knows_cluster(self._client):
            await self._wait_for_broker(deadline, timeout_s)
        # An answer of an address that was given says nothing of the one that the broker advertises.
        while True:
            left_s = max(deadline - anyio.current_time(), 0.1)
            asked = self._client.describe_cluster(request_timeout=min(left_s, ATTEMPT_S))
            while not asked.done():
                await self._wait_for_broker(deadline, timeout_s)
            try:
                asked.result()
            except KafkaException as error:
                if not error_mapping.may_succeed_later(error.args[0]):
                    raise error_mapping.from_admin(error.args[0], "look at the cluster") from error
                await self._wait_for_broker(deadline, timeout_s)
            else:
                return

    async def _wait_for_broker(self, deadline: float, timeout_s: float) -> None:
        self._look_for_refusals()
        if anyio.current_time() >= deadline:
            raise self._unreachable(timeout_s)
        await anyio.sleep(CHECK_INTERVAL_S)

    def _look_for_refusals(self) -> None:
        """Raise what keeps every broker from answering, if that is known."""
        self._client.poll(0)
        errors = [failure.error for failure in self._failures.values()]
        for error in errors if self._no_token is None else [*errors, self._no_token]:
            if (refused := error_mapping.refused_credentials(error)) is not None:
                raise refused
        if self._all_down:
            raise self._unreachable(None)

    def _unreachable(self, timeout_s: float | None) -> Exception:
        return unreachable(self._failures, self._servers, self._protocol, timeout_s)

    def poll(self) -> None:
        """Take the errors that the client has found."""
        self._client.poll(0)

    def ask(self, timeout_s: float, answered: Callable[[bool], object]) -> None:
        """Ask who the brokers are, and call back in the program's thread with whether one answered.

        After `close` or `renew` nobody is called back.
        """
        loop, asked = self._loop, self._client.describe_cluster(request_timeout=timeout_s)

        def hand_on(future: "Future[Any]") -> None:
            is_answered = future.exception() is None
            loop.call_soon(partial(answered, is_answered))

        asked.add_done_callback(hand_on)

    async def create_topic(
        self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float
    ) -> bool:
        if not is_topic_name(topic):
            raise ConfigurationError(f"{topic!r:.300} cannot be a topic: {TOPIC_RULE}.")
        if partitions < 1:
            raise ConfigurationError(f"{topic!r} needs a partition at least, not {partitions}")

        async def create() -> bool:
            new = NewTopic(topic, partitions, config=dict(config))
            asked = self._client.create_topics([new], request_timeout=timeout_s)
            error = await self._error_of(asked[topic])
            if error is not None and error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            _check(error)
            while not await self._has_leaders(topic, partitions):  # noqa: ASYNC110  (Kafka notifies nobody)
                await anyio.sleep(CHECK_INTERVAL_S)
            return True

        return await self._within(create, timeout_s, f"create the topic {topic!r}")

    async def delete_topic(self, topic: str, timeout_s: float) -> None:
        async def delete() -> None:
            asked = self._client.delete_topics([topic], request_timeout=timeout_s)
            error = await self._error_of(asked[topic])
            if error is None or error.code() not in error_mapping.NO_TOPIC:
                _check(error)
            while (await self._described([topic]))[topic]:  # noqa: ASYNC110  (Kafka notifies nobody)
                await anyio.sleep(CHECK_INTERVAL_S)

        await self._within(delete, timeout_s, f"delete the topic {topic!r}")

    async def partition_counts(
        self, topics: Collection[str], timeout_s: float
    ) -> Mapping[str, int]:
        async def count() -> Mapping[str, int]:
            found = await self._described(topics)
            if None in found.values():
                await anyio.sleep(CREATED_LATELY_S)
                found = await self._described(topics)
            return {
                topic: 0 if each is None else len(each.partitions) for topic, each in found.items()
            }

        what = f"look up the topics {', '.join(map(repr, topics))}"
        return await self._within(count, timeout_s, what) if topics else {}

    async def live_members(self, group_id: str, timeout_s: float) -> int:
        async def describe() -> int:
            asked = self._client.describe_consumer_groups([group_id], request_timeout=MAX_TIMEOUT_S)
            error = await self._error_of(asked[group_id])
            if error is not None and error.code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            _check(error)
            return len(asked[group_id].result().members)

        return await self._within(describe, timeout_s, f"look at the group {group_id!r}")

    async def _has_leaders(self, topic: str, partitions: int) -> bool:
        found = (await self._described([topic]))[topic]
        return (
            found is not None
            and len(found.partitions) >= partitions
            and all(each.leader is not None for each in found.partitions)
        )

    async def _described(self, topics: Collection[str]) -> Mapping[str, Any]:
        """Return what a broker says of each topic, None if it does not exist."""
        asked = self._client.describe_topics(TopicCollection(list(topics)))
        found: dict[str, Any] = {}
        for topic, future in asked.items():
            error = await self._error_of(future)
            if error is not None and error.code() in error_mapping.NO_TOPIC:
                found[topic] = None
                continue
            _check(error)
            found[topic] = future.result()
        return found

    async def _error_of(self, future: "Future[Any]") -> KafkaError | None:
        """Wait for an answer, and return its error.

        Raises:
            SendFailed: The client was closed meanwhile; librdkafka drops what is not answered then.
        """
        waiter, loop = self._loop.new_waiter(), self._loop
        future.add_done_callback(lambda _: loop.call_soon(partial(wake, waiter)))
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
        if self._is_closed:
            raise SendFailed("No answer came before the producer was closed.", in_doubt=True)
        error = future.exception()
        if error is None:
            return None
        if isinstance(error, KafkaException):
            found: KafkaError = error.args[0]
            return found
        raise error

    async def _within[T](
        self, call: Callable[[], Coroutine[Any, Any, T]], timeout_s: float, what: str
    ) -> T:
        """Call until there is an answer that a retry would not change."""
        last: Exception | None = None
        with anyio.move_on_after(timeout_s):
            while True:
                try:
                    return await call()
                except KafkaException as error:
                    last = error
                    if not error_mapping.may_succeed_later(error.args[0]):
                        raise error_mapping.from_admin(error.args[0], what) from error
                except (TypeError, ValueError) as error:
                    raise ConfigurationError(f"Could not {what}: {error}") from error
                await anyio.sleep(RETRY_S)
        self._client.poll(0)
        for failure in self._failures.values():
            if (refused := error_mapping.refused_credentials(failure.error)) is not None:
                raise refused
        raise SendFailed(f"Could not {what} within {timeout_s:g} s.", in_doubt=True) from last


def _check(error: KafkaError | None) -> None:
    if error is not None:
        raise KafkaException(error)
