"""Ends a run that shares its topic with a group, once it has had all of the topic."""

from collections.abc import Callable

import anyio

from sdml_kafka.listener.end_watch import CHECK_EVERY_S, EndWatch
from sdml_kafka.listener.status import ListenerStatus


class GroupWatch:
    """Waits for the partitions of members that are gone, and not for those of another run.

    A run that was killed is a member until its session has ended, and may have got partitions in
    the meantime.
    """

    def __init__(self, partitions: int, patience_s: float) -> None:
        """Begin.

        Args:
            partitions: The number of partitions that the topic has.
            patience_s: Seconds to wait for those that another member has.
        """
        self.is_partial: bool = False
        """True if another member has kept partitions."""
        self._count = partitions
        self._patience_s = patience_s

    async def run(self, status: Callable[[], ListenerStatus], on_end: Callable[[], None]) -> None:
        """Call `on_end` when all is done, or all but what another member keeps."""
        watch = EndWatch()
        while not self.is_partial:
            await watch.run(status, lambda: None)
            if self._has_all(status()):
                break
            with anyio.move_on_after(self._patience_s) as waiting:
                while not self._has_all(status()):  # noqa: ASYNC110  (a status has no event)
                    await anyio.sleep(CHECK_EVERY_S)
            self.is_partial = waiting.cancelled_caught
        on_end()

    def _has_all(self, status: ListenerStatus) -> bool:
        return len(status.partitions) >= self._count
