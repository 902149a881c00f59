# pyright: basic
# aiokafka is not typed.
"""Start a client within a timeout, and explain why it did not start."""

import asyncio
from collections.abc import Callable
from logging import WARNING, getLogger

from aiokafka.errors import KafkaConnectionError

from sdml_kafka.errors import BrokerUnreachable, SdmlKafkaError
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.aiokafka.client import Client, error_of
from sdml_kafka.transport.aiokafka.connecting import Connecting
from sdml_kafka.transport.aiokafka.connection_failures import (
    advertised,
    failed_addresses,
    no_broker,
    rounded,
)

_log = RateLimitedLog(getLogger("sdml_kafka.transport"))

CANCEL_TIMEOUT_S = 1.0


class Startup:
    """The start of one client, which is cancelled when the client is closed meanwhile."""

    def __init__(
        self,
        client: Client,
        connecting: Connecting,
        explain: Callable[[BaseException], BaseException],
    ) -> None:
        """Prepare a start.

        Args:
            client: The consumer or the producer.
            connecting: Makes the client's connections.
            explain: Returns the package's error for one of aiokafka's that says no more itself.
        """
        self._client = client
        self._connecting = connecting
        self._explain = explain
        self._task: asyncio.Task[None] | None = None

    async def run(self, timeout_s: float) -> None:
        """Start the client.

        Raises:
            BrokerUnreachable: No broker answered within `timeout_s`, or none can be reached. A
                start that has not ended goes on until `cancel`.
            SdmlKafkaError: The client did not start, for the reason that the error gives.
        """
        self._task = task = asyncio.create_task(self._client.start())
        # asyncio logs an error that nobody looks at, and nobody does after the timeout.
        task.add_done_callback(error_of)
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if not done:
            raise self._unreachable(timeout_s)
        if (error := error_of(task)) is not None:
            if isinstance(error, KafkaConnectionError):
                raise self._unreachable(None)
            raise self._explain(error) from error
        if failed := failed_addresses(self._connecting.asked, self._connecting.protocol):
            text = "not every address in bootstrap_servers can be reached: %s"
            _log.log(WARNING, "address", text, failed, extra=fields())

    def _unreachable(self, timeout_s: float | None) -> SdmlKafkaError:
        """Return why there is no broker; without a timeout all that were asked have failed."""
        connecting = self._connecting
        if failures := connecting.failures():
            return advertised(failures, connecting.asked, connecting.protocol)
        if connecting.has_found_brokers and timeout_s is not None:
            return BrokerUnreachable(
                f"A broker answered, and could not serve the client's start within "
                f"{rounded(timeout_s)}. It may be starting itself, or overloaded: see its log."
            )
        return no_broker(connecting.asked, connecting.protocol, timeout_s)

    async def cancel(self) -> None:
        """Cancel a start that goes on: it would start tasks on a client that is closed by then."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_TIMEOUT_S)
