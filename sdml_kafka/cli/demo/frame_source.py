"""Makes the frames that are shown, out of the participants, the books and the plan."""

from sdml_kafka import PartitionStatus
from sdml_kafka.cli.demo.books.call_book import CallBook
from sdml_kafka.cli.demo.books.record_book import RecordBook
from sdml_kafka.cli.demo.clock import DemoClock
from sdml_kafka.cli.demo.director import Director
from sdml_kafka.cli.demo.display.frame import CallsView, Frame, PartitionView
from sdml_kafka.cli.demo.display.rate_meter import RateMeter
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.participants.cast import Cast
from sdml_kafka.cli.demo.plan import Act

ANNOUNCEMENTS = {
    Act.LISTENER_LEAVES: "a listener leaves",
    Act.SERVER_LEAVES: "a server leaves",
    Act.LISTENER_RETURNS: "the listener comes back",
    Act.SERVER_RETURNS: "the server comes back",
    Act.ACTOR_CRASHES: "an actor crashes",
    Act.BROKER_RESTARTS: "the broker restarts",
}


class FrameSource:
    def __init__(
        self,
        title: str,
        page: str | None,
        director: Director,
        cast: Cast,
        record_book: RecordBook,
        call_book: CallBook,
        clock: DemoClock,
        log: EventLog,
    ) -> None:
        self._title = title
        self._page = page
        self._director = director
        self._cast = cast
        self._record_book = record_book
        self._call_book = call_book
        self._clock = clock
        self._log = log
        self._sent, self._finished, self._settled = RateMeter(), RateMeter(), RateMeter()
        self._partitions: dict[int, PartitionStatus] = {}

    def next_frame(self) -> Frame:
        """Return the demo as it is now."""
        now_s = self._clock.now_s()
        self._sent.add(now_s, self._record_book.sent_count)
        self._finished.add(now_s, self._record_book.finished_count)
        self._settled.add(now_s, self._call_book.settled_count)
        return Frame(
            title=self._title,
            elapsed_s=now_s,
            seconds=self._director.plan.seconds,
            announcement=self._announcement(now_s),
            broker_is_up=self._director.broker_is_up,
            listeners=tuple(member.view() for member in self._cast.listeners),
            callers=tuple(each.view() for each in (self._cast.client, *self._cast.servers)),
            partitions=self._partition_views(),
            sent=self._record_book.sent_count,
            finished=self._record_book.finished_count,
            sent_rate=self._sent.rate(),
            finished_rate=self._finished.rate(),
            history=self._finished.history(),
            calls=self._calls_view(now_s),
            lines=tuple(self._log.lines),
            page=self._page,
        )

    def _calls_view(self, now_s: float) -> CallsView:
        p50_ms, p99_ms = self._cast.client.latencies.quantiles_ms(now_s, 0.5, 0.99)
        book = self._call_book
        return CallsView(book.made_count, self._settled.rate(), book.in_flight, p50_ms, p99_ms)

    def _announcement(self, now_s: float) -> str:
        step = self._director.next_step
        if step is None:
            rest_s = self._director.plan.seconds - now_s
            return f"last record in {rest_s:.0f} s" if rest_s > 0 else "finishing the rest"
        if now_s >= step.at_s:
            return f"now: {ANNOUNCEMENTS[step.act]}"
        return f"{ANNOUNCEMENTS[step.act]} in {step.at_s - now_s:.0f} s"

    def _partition_views(self) -> tuple[PartitionView, ...]:
        owners: dict[int, str] = {}
        for member in self._cast.listeners:
            status = member.status()
            if status is not None:
                for (_, number), partition in status.partitions.items():
                    owners[number] = member.name
                    self._partitions[number] = partition
        return tuple(
            PartitionView(number, owners.get(number), status)
            for number, status in sorted(self._partitions.items())
        )
