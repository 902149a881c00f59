# pyright: basic
# aiokafka is not typed.
"""Start a client within a timeout, and explain why it did not start."""

import asyncio
from collections.abc import Callable

from aiokafka.errors import KafkaConnectionError

from sdml_kafka.errors import AuthenticationFailed, BrokerUnreachable, SdmlKafkaError
from sdml_kafka.transport.aiokafka.client import Client, error_of, start
from sdml_kafka.transport.aiokafka.log_filter import ErrorLines

HINT = "Check the address, the network and that Kafka runs; security_protocol has to fit too."
CANCEL_TIMEOUT_S = 1.0


class Startup:
    """The start of one client, which is cancelled when the client is closed meanwhile."""

    def __init__(self, client: Client, explain: Callable[[BaseException], BaseException]) -> None:
        """Prepare a start.

        Args:
            client: The consumer or the producer.
            explain: Returns the package's error for one of aiokafka's that says no more itself.
        """
        self._client = client
        self._explain = explain
        self._task: asyncio.Task[None] | None = None

    async def run(self, timeout_s: float) -> None:
        """Start the client.

        Raises:
            BrokerUnreachable: No broker answered within `timeout_s`. The start goes on until
                `cancel`.
            SdmlKafkaError: The client did not start, for the reason that the error gives.
        """
        with ErrorLines() as lines:
            self._task = task = asyncio.create_task(start(self._client))
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
            if not done:
                raise BrokerUnreachable(f"No broker answered within {timeout_s:g} s. {HINT}")
            if (error := error_of(task)) is not None:
                raise _known_reason(error, lines) or self._explain(error) from error

    async def cancel(self) -> None:
        """Cancel a start that goes on: it would start tasks on a client that is closed by then."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_TIMEOUT_S)


def _known_reason(error: BaseException, lines: ErrorLines) -> SdmlKafkaError | None:
    if (reason := lines.authentication_failure()) is not None:
        return AuthenticationFailed(f"The broker refused the credentials: {reason}")
    if (reason := lines.tls_failure()) is not None:
        return AuthenticationFailed(f"The broker's certificate was not accepted: {reason}")
    if isinstance(error, KafkaConnectionError):
        return BrokerUnreachable(f"{error}. {HINT}")
    return None
