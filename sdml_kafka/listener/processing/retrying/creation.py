"""Create the retry topics that are missing."""

from logging import WARNING

import anyio

from sdml_kafka.errors import AuthorizationFailed, ConfigurationError, SdmlKafkaError
from sdml_kafka.listener.processing.retrying.plan import RetryPlan
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces.producer import ConnectProducer, Producer

LOOK_AGAIN_S = 5.0
"""Seconds between two looks at a first topic that does not exist yet."""
MIN_REQUEST_S = 0.5
"""Seconds that a request gets however late it is."""


class RetryTopicMaker:
    """Creates the retry topics of one plan, each with as many partitions as its first topic."""

    def __init__(
        self, plan: RetryPlan, connect: ConnectProducer, timeout_s: float, log: RateLimitedLog
    ) -> None:
        """Create nothing yet; each `create` may take `timeout_s`."""
        self._plan = plan
        self._connect = connect
        self._timeout_s = timeout_s
        self._log = log
        self._is_done = False

    async def create(self) -> None:
        """Create what is missing, except for the topics whose first one is missing itself.

        Raises:
            AuthorizationFailed: The broker does not let this client see or create the topics.
            ConfigurationError: The broker refuses to create them.
            BrokerUnreachable: No broker answered in time.
            SendFailed: It was not done in time.
        """
        if not self._is_done:
            deadline = anyio.current_time() + self._timeout_s
            async with connected(self._connect, self._start, deadline) as producer:
                self._is_done = await self._create_with(producer, deadline)

    async def _start(self, producer: Producer, left_s: float) -> None:
        await producer.start(left_s)

    async def _create_with(self, producer: Producer, deadline: float) -> bool:
        """Return whether nothing is left to create."""

        def left_s() -> float:
            return max(MIN_REQUEST_S, deadline - anyio.current_time())

        firsts = {topic: self._plan.first_topic(topic) for topic in self._plan.topics}
        topics = [*dict.fromkeys(firsts.values()), *firsts]
        counts = await producer.partition_counts(topics, left_s())
        missing = [topic for topic in firsts if not counts[topic]]
        wanted = {topic: counts[firsts[topic]] for topic in missing if counts[firsts[topic]]}
        for topic, count in wanted.items():
            try:
                await producer.create_topic(topic, count, {}, left_s())
            except (AuthorizationFailed, ConfigurationError) as error:
                raise _refused(wanted, error) from error
        return len(wanted) == len(missing)

    async def run(self) -> None:
        """Create the others as soon as their first topic exists."""
        while not self._is_done:
            await anyio.sleep(LOOK_AGAIN_S)
            try:
                await self.create()
            except SdmlKafkaError as error:
                text = "retry topics are missing, and cannot be created: %s"
                self._log.log(WARNING, "retry topics", text, error, extra=fields(error=error))


def _refused(wanted: dict[str, int], error: AuthorizationFailed | ConfigurationError) -> Exception:
    names = ", ".join(f"{topic!r} (with {count} partitions)" for topic, count in wanted.items())
    return type(error)(
        f"These retry topics do not exist, and the broker does not let this client create them: "
        f"{names}. Create them, or let the client do so. {error}"
    )
