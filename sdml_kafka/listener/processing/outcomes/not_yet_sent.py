"""Values of handlers whose serializer needs something first: they are sent once that is there."""

from collections.abc import Callable, Sequence
from functools import partial

from anyio.abc import TaskGroup

from sdml_kafka.consuming.preparations import Preparations
from sdml_kafka.listener.processing.job import Item, Job
from sdml_kafka.parsing.not_yet import NotYet


class NotYetSent:
    """Holds the records of a processor whose messages cannot be written yet."""

    def __init__(self, preparations: Preparations) -> None:
        """Begin with none."""
        self._preparations = preparations
        self._tasks: TaskGroup | None = None

    def open(self, tasks: TaskGroup) -> None:
        """Wait in this task group for what the serializers need."""
        self._tasks = tasks

    def hold(
        self,
        item: Item,
        not_yet: NotYet,
        send: Callable[[], None],
        refuse: Callable[[Exception], None],
        give_back: Callable[[Job], None],
    ) -> None:
        """Hold the records of a handler until its messages can be written.

        Args:
            item: The records.
            not_yet: What the serializer has raised.
            send: Called once it is worth trying again.
            refuse: Called with the error if what the serializer needs cannot be had.
            give_back: Called for each record if the partition was revoked meanwhile.
        """
        assert self._tasks is not None
        jobs = item.jobs
        self._tasks.start_soon(self._hold, tuple(jobs), not_yet, send, refuse, give_back)

    async def _hold(
        self,
        jobs: Sequence[Job],
        not_yet: NotYet,
        send: Callable[[], None],
        refuse: Callable[[Exception], None],
        give_back: Callable[[Job], None],
    ) -> None:
        then = send
        try:
            if not await self._preparations.wait(jobs[0].tenancy, jobs[0].offset, not_yet):
                for job in jobs:
                    give_back(job)
                return
        except Exception as error:
            then = partial(refuse, error)
        if not all(job.is_settled for job in jobs):  # else they were given back meanwhile
            then()
