"""Draining: the time that records in hand get to finish before their partitions are released."""

from collections.abc import Callable, Collection, Sequence
from math import inf

import anyio

from sdml_kafka.consuming.offsets.tenancy import Tenancy

CUT_OFF_S = 0.5
"""Seconds that those who were cut off get to end."""


class Drain:
    """Waits until nobody has records of revoked partitions in hand."""

    def __init__(
        self,
        timeout_s: float,
        flush: Callable[[], None] = lambda: None,
        cut_off: Callable[[Collection[Tenancy]], bool] = lambda tenancies: False,
    ) -> None:
        """Set the limit of each wait.

        Args:
            timeout_s: Seconds that one drain may take.
            flush: Brings the ledger up to date with those who have records in hand.
            cut_off: Makes those give records of these tenancies back who can be made to; returns
                whether somebody was.
        """
        self._timeout_s = timeout_s
        self._flush = flush
        self.cut_off: Callable[[Collection[Tenancy]], bool] = cut_off

    def skip(self) -> None:
        """Wait for nobody from now on, since the program itself has been cancelled."""
        self._timeout_s = 0.0

    async def wait(
        self, tenancies: Sequence[Tenancy], *, limit_s: float = inf, shield: bool = False
    ) -> None:
        """Wait until nobody has a record of these tenancies in hand; after the time, cut off.

        The tenancies have to be withdrawn, so that nobody takes further records in hand. All of it
        takes `limit_s` at most.
        """
        cut_off_s = min(CUT_OFF_S, limit_s / 2)
        timeout_s = min(self._timeout_s, limit_s - cut_off_s)
        with anyio.move_on_after(timeout_s, shield=shield) as waiting:
            await self.wait_finished(tenancies)
        if waiting.cancelled_caught and self.cut_off(tenancies):
            with anyio.move_on_after(cut_off_s, shield=shield):
                await self.wait_finished(tenancies)

    async def wait_finished(self, tenancies: Sequence[Tenancy]) -> None:
        """Wait until nobody has a record of these tenancies in hand, however long that takes."""
        self._flush()
        for tenancy in tenancies:
            if tenancy.in_hand > 0:
                drained = anyio.Event()
                tenancy.call_when_drained(drained.set)
                await drained.wait()
