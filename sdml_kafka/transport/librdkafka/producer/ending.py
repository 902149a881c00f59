"""End a transaction by librdkafka's calls, which block, in slices that go on with each other.

How this works
--------------
`commit_transaction` and `abort_transaction` go on where an earlier call of the same function ran
out of time, whatever has happened meanwhile; until they have an outcome no other function of the
transaction may be called. `send_offsets_to_transaction` has no such memory. It may be called again
with the same offsets, but when it runs out of time itself, the transaction has failed.

A caller that waits no more leaves its call to the thread behind, which notes here what came of it.
So the next one goes on from there.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import KafkaException, Producer

from sdml_kafka.transport.interfaces.transactions import GroupOffsets
from sdml_kafka.transport.librdkafka.client_partitions import with_commits

SLICE_S = 0.25
"""Seconds of one call, after which the thread looks whether somebody still waits."""
RETRY_S = 0.02
"""Seconds between two calls of which the first has failed at once."""


class Attempt:
    """One call to the thread, which repeats a step until its deadline."""

    def __init__(self, deadline: float) -> None:
        """Begin, and try until `deadline` by the monotonic clock."""
        self._deadline = deadline
        self.is_wanted: bool = True
        """False once nobody waits for the outcome."""

    def repeat(self, step: Callable[[float], None]) -> None:
        """Call the step with so many seconds, until it does not fail with an error that may pass.

        Raises:
            KafkaException: The step has failed for good, or the time is over.
        """
        while True:
            left_s = self.left_s
            try:
                step(max(0.01, min(SLICE_S, left_s)))
            except KafkaException as error:
                is_over = left_s <= SLICE_S or not self.is_wanted
                if is_over or not error.args[0].retriable():
                    raise
                time.sleep(RETRY_S)
            else:
                return

    @property
    def left_s(self) -> float:
        """The seconds until the deadline."""
        return self._deadline - time.monotonic()


class Ending:
    """The commit or the abort of one transaction, and how far it has come."""

    def __init__(self, offsets: GroupOffsets | None, *, commits: bool) -> None:
        """Begin.

        Args:
            offsets: What is committed for a group, if anything.
            commits: Whether the transaction is committed; else it is aborted.
        """
        self.commits: bool = commits
        self._offsets = offsets
        self._has_offsets = offsets is None
        self._is_over = False

    def carry_out(self, producer: Producer, attempt: Attempt) -> None:
        """End the transaction and begin the next one; in the thread.

        Raises:
            KafkaException: It was not done; for good, or in the time of this attempt.
        """
        if self._is_over:
            return
        if not self._has_offsets:
            self._send_offsets(producer, attempt)
            self._has_offsets = True
        call = producer.commit_transaction if self.commits else producer.abort_transaction
        attempt.repeat(call)
        self._is_over = True
        with suppress(
            KafkaException
        ):  # it has failed since, which the next transaction will notice
            producer.begin_transaction()

    def _send_offsets(self, producer: Producer, attempt: Attempt) -> None:
        assert self._offsets is not None
        metadata, commits = self._offsets
        offsets = with_commits(commits)
        # Its time is not sliced: when that is over, the transaction has failed.
        attempt.repeat(
            lambda _: producer.send_offsets_to_transaction(
                offsets, metadata, max(attempt.left_s, SLICE_S)
            )
        )
