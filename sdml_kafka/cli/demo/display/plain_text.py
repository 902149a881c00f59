"""Shows the demo as plain lines, for pipes, files and CI: ASCII without control characters."""

from collections.abc import Sequence

from sdml_kafka.cli.demo.books.final_report import FinalReport
from sdml_kafka.cli.demo.display import actor_rows
from sdml_kafka.cli.demo.display.frame import Frame, ParticipantView
from sdml_kafka.cli.demo.event_log import LogLine
from sdml_kafka.printable import one_line

SUMMARY_EVERY_S = 2.0


class PlainTextDisplay:
    def __init__(self) -> None:
        self._next_at_s = 0.0
        self._frame: Frame | None = None

    def starting(self, text: str) -> None:
        self._print(text)

    def log(self, line: LogLine) -> None:
        self._print(f"{line.at_s:5.1f} s  * {line.text}")

    def show(self, frame: Frame) -> None:
        if self._frame is None:
            self._print(frame.title)
        self._frame = frame
        if frame.elapsed_s >= self._next_at_s > 0:
            self._print(summary(frame))
            self._print(calls_summary(frame))
        if frame.elapsed_s >= self._next_at_s:
            # The trees are shown once they run; the log says how they change.
            if self._next_at_s == 0 and frame.elapsed_s > 0:
                self._print_trees((*frame.listeners, *frame.callers))
            self._next_at_s += SUMMARY_EVERY_S if frame.elapsed_s > 0 else 0

    def close(self) -> None:
        if self._frame is not None:
            self._print_trees((*self._frame.listeners, *self._frame.callers))
            self._frame = None

    def report(self, report: FinalReport) -> None:
        self._print("ledger")
        for label, count in report.entries:
            self._print(f"  {label:<38} {count:>9,}")
        for text in report.evidence:
            self._print(f"  {text}")
        self._print(report.verdict)

    def _print_trees(self, participants: Sequence[ParticipantView]) -> None:
        for participant in participants:
            self._print(f"{participant.name} ({participant.state})")
            if participant.tree is not None:
                for row in actor_rows.rows(participant.tree):
                    actor = row.actor
                    inbox = actor_rows.inbox(actor)
                    restarts = actor_rows.restarts(actor)
                    notes = [actor.state.value, restarts, inbox and f"inbox {inbox}"]
                    name = "  " * row.depth + actor.name
                    self._print(f"  {name:<22} {'  '.join(filter(None, notes))}")

    def _print(self, text: str) -> None:
        print(one_line(text).replace("·", "-"), flush=True)


def summary(frame: Frame) -> str:
    """Return the records and the members in one line."""
    members = ", ".join(
        f"{member.name} {member.partition_count}" if member.tree else f"{member.name} away"
        for member in frame.listeners
    )
    broker = "" if frame.broker_is_up else "  BROKER DOWN"
    return (
        f"{frame.elapsed_s:5.1f} s    sent {frame.sent:,} ({frame.sent_rate:,.0f}/s)  "
        f"finished {frame.finished:,} ({frame.finished_rate:,.0f}/s)  lag {frame.lag}  "
        f"in flight {frame.in_flight:,}  partitions: {members}{broker}"
    )


def calls_summary(frame: Frame) -> str:
    """Return the calls in one line."""
    calls = frame.calls
    return (
        f"           calls {calls.made:,} ({calls.rate:,.0f}/s)  {calls.latencies()}  "
        f"in flight {calls.in_flight:,}"
    )
