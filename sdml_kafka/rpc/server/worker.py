"""A worker's task: answers one call after the other."""

from math import inf
from typing import TYPE_CHECKING

import anyio

from sdml_kafka.rpc.server.call import Answer, Call
from sdml_kafka.workers.coroutine_steps import resumed

if TYPE_CHECKING:
    from sdml_kafka.rpc.server.worker_pool import Workers


class Worker:
    """One task, with one scope for all of its calls until that is cancelled."""

    def __init__(self, workers: "Workers") -> None:
        self._workers = workers
        self.call: Call | None = None

    async def live(self) -> None:
        workers = self._workers
        workers.came()
        try:
            is_well = True
            while is_well:
                with anyio.CancelScope() as scope:
                    is_well = await self._serve(scope)
                # The scope was cancelled, which cannot be undone: the next calls get another.
                self._cut_off()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            # Out of a task of asyncio a SystemExit would leave the event loop at once.
            workers.fail(error)
        finally:
            if self.call is not None:
                workers.abandon(self.call)
            workers.left(self)
        workers.look()  # in place of this one

    def _cut_off(self) -> None:
        """Apart, since in `live` the call and its value would be kept until the next cut-off."""
        if (call := self.call) is not None:
            self.call = None
            self._workers.cut_off(call)

    async def _serve(self, scope: anyio.CancelScope) -> bool:
        """Answer until the scope is cancelled; False: this task is not to be used any more."""
        workers = self._workers
        while not scope.cancel_called:
            call = workers.next()
            if call is None:
                await workers.idle()
                continue
            self.call, call.running_scope = call, scope
            context = workers.context(call)
            coroutine = workers.answering.answer(call)
            try:
                try:
                    wish = context.run(coroutine.send, None)
                except StopIteration as end:
                    answer: Answer = end.value
                else:
                    workers.suspended(call)
                    answer = await resumed(context, coroutine, wish)
                    del wish
            except anyio.get_cancelled_exc_class() as error:
                if scope.cancel_called or anyio.current_effective_deadline() == -inf:
                    raise
                # On asyncio anything may raise it, and may have cancelled this task for good.
                self.call = None
                workers.ended(call, workers.answering.failed(call, error))
                return False
            self.call = None
            workers.ended(call, answer)
            del answer, context, coroutine  # what an idle worker has, it keeps
            if workers.now > workers.breathe_at:
                await workers.breathe()
        return True
