"""Reports on stderr how a listener or a server gets on."""

from collections.abc import Callable, Collection, Iterator

import anyio

from sdml_kafka import ListenerStatus, PartitionStatus, ServerStatus
from sdml_kafka.cli.terminal import say
from sdml_kafka.plurals import counted
from sdml_kafka.runtime import ActorState

CHECK_EVERY_S = 0.5
REPORT_EVERY_S = 3.0
OLD_S = 15.0
"""Seconds after which a lag is shown with its age. While a broker answers none gets that old."""

Status = ListenerStatus | ServerStatus


class TroubleReport:
    """Reports each trouble once, when it begins."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        self._reported: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Report troubles until cancelled."""
        while True:
            await anyio.sleep(CHECK_EVERY_S)
            self.report_new(self._status())

    def report_new(self, status: Status) -> None:
        """Report the troubles that were not there the last time."""
        now = frozenset(troubles(status))
        for text in sorted(now - self._reported):
            say(text)
        self._reported = now


class ProgressReport:
    """Reports a listener's troubles, and how fast it reads."""

    def __init__(self, status: Callable[[], ListenerStatus], count: Callable[[], int]) -> None:
        self._status = status
        self._count = count
        self._troubles = TroubleReport(status)
        self._last_count = 0

    async def run(self, shows_progress: bool) -> None:
        """Report troubles until cancelled, and with `shows_progress` the progress as well."""
        report_at = anyio.current_time() + REPORT_EVERY_S
        while True:
            await anyio.sleep(CHECK_EVERY_S)
            status = self._status()
            self._troubles.report_new(status)
            if shows_progress and anyio.current_time() >= report_at:
                report_at += REPORT_EVERY_S
                say(self.line(status))

    def line(self, status: ListenerStatus) -> str:
        """Return the progress since the last call as one line."""
        count = self._count()
        rate = (count - self._last_count) / REPORT_EVERY_S
        self._last_count = count
        partitions = status.partitions.values()
        return (
            f"{counted(count, 'record')}, {rate:,.0f}/s, lag {lag_text(partitions)} "
            f"in {counted(len(partitions), 'partition')}"
        )


def lag_text(partitions: Collection[PartitionStatus]) -> str:
    """Return the lag of these partitions together, with what keeps it from being the lag of now."""
    lags = [partition.lag for partition in partitions if partition.lag is not None]
    if partitions and not lags:
        return "unknown"
    at_least = "at least " if len(lags) < len(partitions) else ""
    oldest_s = max((partition.lag_age_s or 0.0 for partition in partitions), default=0.0)
    when = f" ({oldest_s:.0f} s ago)" if oldest_s >= OLD_S else ""
    return f"{at_least}{sum(lags):,}{when}"


def troubles(status: Status) -> Iterator[str]:
    """Describe what keeps records or requests from coming."""
    runs = all(actor.state is ActorState.RUNNING for actor in status.tree.children)
    # An actor that stops or restarts has no connection, which is no trouble.
    if runs and not status.connected:
        yield "no broker answers; still trying"
    for topic in status.missing_topics:
        near = status.nearest_topics.get(topic)
        hint = "" if near is None else f" (did you mean {near}?)"
        yield f"the topic {topic} does not exist yet{hint}; it is read as soon as it does"
    for (topic, partition), status_of in status.partitions.items():
        if status_of.held is not None:
            yield (
                f"partition {partition} of {topic} cannot be read from offset "
                f"{status_of.position} on: {status_of.held}"
            )
