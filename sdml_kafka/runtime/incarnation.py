"""One life of one actor, in a task of its own."""

import math
from collections.abc import Callable
from typing import cast

import anyio

from sdml_kafka.runtime.actor import Actor, Life
from sdml_kafka.runtime.errors import UnaskedCancellation, is_interrupt


class Incarnation:
    """One life of one actor, from its factory to its end.

    Run `live()` in a task. What the actor raises does not leave that task but is kept in `error`
    for the owner: an exception in a task group would cancel the siblings, and a SystemExit or
    KeyboardInterrupt in a task of asyncio would leave the event loop at once.
    """

    def __init__(
        self,
        factory: Callable[[], Actor],
        life: Life,
        on_end: Callable[[], object],
        *,
        shield: bool = False,
    ) -> None:
        """Make a life that has not begun.

        With `shield`, cancellation from outside does not reach the actor; its owner must stop it.
        """
        self.life = life
        self.actor: Actor | None = None
        self.error: BaseException | None = None
        self.cancelled: bool = False
        self._begun = False
        self._factory = factory
        self._on_end = on_end
        self._scope = anyio.CancelScope(shield=shield)
        self._ended = anyio.Event()

    async def live(self) -> None:
        """Run the actor to its end; raise only the cancellation of the task group around it."""
        self._begun = True
        try:
            if self.life.stopping:
                return
            with self._scope:
                self.actor = self._factory()
                await self.actor.run(self.life)
            self.cancelled = self._scope.cancelled_caught
        except BaseException as exc:
            if self._note_end(exc):
                raise
        finally:
            self.life.settle()
            self._ended.set()
            self._on_end()

    def _note_end(self, exc: BaseException) -> bool:
        """Note what ended the actor; return whether it is a cancellation that has to go on."""
        error = without_cancellation(exc)
        if error is None:
            cancelled_around = anyio.current_effective_deadline() == -math.inf
            self.cancelled = cancelled_around or self._scope.cancel_called
            if self.cancelled:
                return cancelled_around
            error = UnaskedCancellation(self.life.path[-1])
            error.__cause__ = exc
        if self.error is None or is_interrupt(error):
            self.error = error
        else:  # `fail` was called: its error stays, and what came of stopping is the cause
            self.error.__cause__ = error
        return False

    @property
    def ended(self) -> bool:
        """True if the actor has ended."""
        return self._ended.is_set()

    async def wait_settled(self, timeout_s: float) -> bool:
        """Wait until the actor is ready or has ended; return False if that takes too long."""
        with anyio.move_on_after(timeout_s):
            await self.life.wait_settled()
            return True
        return False

    async def stop(self, timeout_s: float, *, shield: bool = False) -> None:
        """Ask the actor to stop, give it `timeout_s`, cancel it, and wait for its end.

        An actor that is not ready yet, and does not listen, is cancelled at once, since nobody
        needs what it waits for any more. With `shield`, cancellation from outside does not
        shorten its time.
        """
        listens = self.life.request_stop()
        if not self._begun:
            return  # the task will find that it has nothing to do
        if self.life.ready or listens:
            with anyio.move_on_after(timeout_s, shield=shield):
                await self._ended.wait()
        self.cancel("did not stop in time")
        await self._ended.wait()

    def cancel(self, reason: str) -> None:
        """Cancel the actor, if it has not ended."""
        if not self.ended:
            self._scope.cancel(reason)

    async def fail(self, error: Exception, timeout_s: float) -> None:
        """Stop the actor because of `error`, and keep that as what it failed with."""
        self.error = error
        await self.stop(timeout_s)


def without_cancellation(exc: BaseException) -> BaseException | None:
    """Return the exception without cancellation in its groups; None if nothing else is left.

    A group that holds one exception stands for that exception; larger groups stay groups.
    """
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(exc, cancelled):
        return None
    if not isinstance(exc, BaseExceptionGroup):
        return exc
    rest = cast("BaseExceptionGroup[BaseException]", exc).split(cancelled)[1]
    if rest is not None and len(rest.exceptions) == 1:
        return without_cancellation(rest.exceptions[0])
    return rest
