"""Lanes in which records of retry topics wait until they are due. Pure."""

from collections.abc import Callable

from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.lanes import Lanes, NullKey
from sdml_kafka.listener.processing.policies import Order
from sdml_kafka.listener.processing.retrying.plan import RetryPlan


class DueLanes(Lanes):
    """Lanes of which a record that is not due is taken, but not handed out before its time.

    Its lane is busy meanwhile. It is in nobody's hands, so that no hand-over waits for it.
    """

    def __init__(
        self,
        order: Order,
        null_key: NullKey,
        plan: RetryPlan,
        wait: Callable[[float, Job], None],
        on_reopened: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without records; `wait` asks for a call of `repeat` with a record at its time."""
        super().__init__(order, null_key, on_reopened)
        self._plan = plan
        self._wait = wait

    def take(self, now: float = 0.0) -> Job | None:
        """Return the next record that may begin and is due, None if there is none."""
        while (job := super().take(now)) is not None:
            at = self._plan.begins_at(job, now)
            if at <= now:
                break
            self._wait(at, job)
        return job
