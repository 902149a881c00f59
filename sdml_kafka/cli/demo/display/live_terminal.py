"""Shows the demo as a live picture in a terminal."""

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.status import Status
from rich.table import Table
from rich.text import Text

from sdml_kafka.cli.demo.books.final_report import FinalReport
from sdml_kafka.cli.demo.display.frame import Frame
from sdml_kafka.cli.demo.display.picture import picture
from sdml_kafka.cli.demo.event_log import LogLine
from sdml_kafka.printable import one_line


class LiveTerminalDisplay:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._live: Live | None = None

    def starting(self, text: str) -> None:
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(Text(one_line(text)))

    def log(self, line: LogLine) -> None:
        pass  # the next frame holds the line

    def show(self, frame: Frame) -> None:
        if self._live is None:
            self._end_status()
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
        size = self._console.size
        self._live.update(picture(frame, size.width, size.height - 1), refresh=True)

    def close(self) -> None:
        self._end_status()
        if self._live is not None:
            self._live.stop()

    def report(self, report: FinalReport) -> None:
        table = Table.grid(padding=(0, 3))
        table.add_column(no_wrap=True)
        table.add_column(justify="right")
        for label, count in report.entries:
            style = "dim" if label.startswith(" ") and not count else ""
            table.add_row(label, f"{count:,}", style=style)
        tone = "green" if report.is_good else "red"
        mark = "✔ " if report.is_good else "✖ "
        evidence = [Text(one_line(text), style="red") for text in report.evidence]
        self._console.print(
            Panel(
                Group(table, *evidence, Text(), Text(mark + report.verdict, f"bold {tone}")),
                title="ledger",
                title_align="left",
                border_style=tone,
                box=box.ROUNDED,
                expand=False,
                padding=(0, 2),
            )
        )

    def _end_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
