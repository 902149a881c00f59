"""The actor that the workers' tasks belong to."""

from collections.abc import Callable

import anyio

from sdml_kafka.rpc.server.call import Answer, ServerCall
from sdml_kafka.rpc.server.call_lifecycle import CallLifecycle
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.workers.deadline_timer import DeadlineTimer
from sdml_kafka.workers.pool import Pool


class WorkerPool(Actor):
    """Runs the workers, and the timer of replies that are sent again."""

    def __init__(
        self,
        pool: Pool[ServerCall, Answer],
        new_lifecycle: Callable[[], CallLifecycle],
        resend_timer: DeadlineTimer,
    ) -> None:
        self._pool = pool
        self._new_lifecycle = new_lifecycle
        self._resend_timer = resend_timer

    async def run(self, life: Life) -> None:
        """Work until asked to stop; raise what a worker ends with."""
        pool = self._pool
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._resend_timer.run)
            pool.open(tasks, self._new_lifecycle())
            try:
                with life.cancel_on_stop():
                    life.started()
                    raise await pool.wait_failed()
            finally:
                pool.close()
            tasks.cancel_scope.cancel()
