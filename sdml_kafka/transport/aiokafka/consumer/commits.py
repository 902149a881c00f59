# pyright: basic
# aiokafka is not typed.
"""Commit the offsets of one consumer, one commit at a time."""

import asyncio
from collections.abc import Callable, Mapping

from aiokafka.errors import OffsetMetadataTooLargeError

from sdml_kafka.errors import CommitFailed
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import RETRY_S, Client, error_of
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.rules.commit_requests import commit_requests

CANCEL_TIMEOUT_S = 0.5


class Commits:
    """Sends commits so that they reach the broker in the order of the calls.

    A commit that outlives its caller's timeout stays in flight, and the next one waits for it.
    """

    def __init__(self, consumer: Client) -> None:
        self._consumer = consumer
        self._loop = asyncio.get_running_loop()
        self._in_flight: asyncio.Task[None] | None = None

    async def commit(
        self,
        commits: Mapping[TopicPartition, Commit],
        timeout_s: float,
        check: Callable[[], None],
    ) -> None:
        """Commit, with retries while the coordinator is away.

        `check` is called right before each request, and raises if it must not be sent (any more).
        """
        deadline = self._loop.time() + timeout_s
        while True:
            if self._in_flight is not None:
                await self._error_of(self._in_flight, deadline, timeout_s)
                continue
            check()
            self._in_flight = self._loop.create_task(self._send(commits))
            # asyncio logs an error that nobody looks at, and nobody does after the timeout.
            self._in_flight.add_done_callback(error_of)
            error = await self._error_of(self._in_flight, deadline, timeout_s)
            if error is None:
                return
            has_metadata = any(commit.metadata for commit in commits.values())
            if has_metadata and isinstance(error, OffsetMetadataTooLargeError):
                commits = {each: Commit(commit.offset) for each, commit in commits.items()}
                continue
            if (final := error_mapping.from_commit(error)) is not None:
                raise final from error
            if self._loop.time() + RETRY_S >= deadline:
                raise CommitFailed(f"the group's coordinator is away: {error!r}") from error
            await asyncio.sleep(RETRY_S)

    async def _send(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Send all requests at once: no two of them have a partition in common."""
        requests = [
            internals.send_commit(self._consumer, part) for part in commit_requests(commits)
        ]
        for error in await asyncio.gather(*requests, return_exceptions=True):
            if error is not None:
                raise error

    async def _error_of(
        self, task: "asyncio.Task[None]", deadline: float, timeout_s: float
    ) -> BaseException | None:
        """Wait for a request and return its error, None if it was answered well."""
        await asyncio.wait({task}, timeout=max(0.0, deadline - self._loop.time()))
        if not task.done():
            raise CommitFailed(
                f"no answer within {timeout_s:g} s: the commit may have gone through or not"
            )
        if self._in_flight is task:
            self._in_flight = None
        return error_of(task)

    async def wait_in_flight(self, timeout_s: float) -> None:
        """Wait for the request in flight, if there is one, for `timeout_s` at most."""
        if self._in_flight is not None:
            await asyncio.wait({self._in_flight}, timeout=timeout_s)

    async def close(self) -> None:
        if self._in_flight is not None:
            self._in_flight.cancel()
            await self.wait_in_flight(CANCEL_TIMEOUT_S)
