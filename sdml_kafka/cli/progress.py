"""How a listener or a server gets on, in lines for people."""

from collections.abc import Callable, Iterator

import anyio

from sdml_kafka import ListenerStatus, ServerStatus
from sdml_kafka.cli.terminal import say
from sdml_kafka.runtime import ActorState

LOOK_EVERY_S = 0.5
LINE_EVERY_S = 3.0

Status = ListenerStatus | ServerStatus


class Troubles:
    """Says each as it begins."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        self._said: frozenset[str] = frozenset()

    async def run(self) -> None:
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            self.say_new(self._status())

    def say_new(self, status: Status) -> None:
        now = frozenset(troubles(status))
        for text in sorted(now - self._said):
            say(text)
        self._said = now


class Progress:
    def __init__(self, status: Callable[[], ListenerStatus], count: Callable[[], int]) -> None:
        self._status = status
        self._count = count
        self._troubles = Troubles(status)
        self._last_count = 0

    async def run(self, shows_lines: bool) -> None:
        """Troubles as they begin; with `shows_lines`, a line of numbers every few seconds."""
        line_at = anyio.current_time() + LINE_EVERY_S
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            status = self._status()
            self._troubles.say_new(status)
            if shows_lines and anyio.current_time() >= line_at:
                line_at += LINE_EVERY_S
                say(self.line(status))

    def line(self, status: ListenerStatus) -> str:
        count = self._count()
        rate = (count - self._last_count) / LINE_EVERY_S
        self._last_count = count
        partitions = status.partitions.values()
        lag = sum(partition.lag or 0 for partition in partitions)
        number = len(partitions)
        return (
            f"{count:,} records, {rate:,.0f}/s, lag {lag:,} "
            f"in {number} partition{'' if number == 1 else 's'}"
        )


def troubles(status: Status) -> Iterator[str]:
    """What somebody has to know who wonders why nothing comes."""
    works = all(actor.state is ActorState.RUNNING for actor in status.tree.children)
    if works and not status.connected:  # while it leaves or restarts that says nothing
        yield "no broker answers; trying on"
    for topic in status.missing_topics:
        yield f"there is no topic {topic} yet; it is read as soon as there is"
    for (topic, partition), status_of in status.partitions.items():
        if status_of.held is not None:
            yield (
                f"partition {partition} of {topic} cannot be read on at offset "
                f"{status_of.position}: {status_of.held}"
            )
