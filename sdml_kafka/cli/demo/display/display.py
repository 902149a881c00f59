"""The interface of whatever shows the demo."""

from typing import Protocol

from sdml_kafka.cli.demo.books.final_report import FinalReport
from sdml_kafka.cli.demo.display.frame import Frame
from sdml_kafka.cli.demo.event_log import LogLine


class Display(Protocol):
    def starting(self, text: str) -> None:
        """Show how the start gets on. Any thread may call this."""

    def log(self, line: LogLine) -> None:
        """Show a line of the log."""

    def show(self, frame: Frame) -> None:
        """Show the next frame; called several times a second."""

    def close(self) -> None:
        """Leave the terminal as it was; a second call changes nothing."""

    def report(self, report: FinalReport) -> None:
        """Show the final report, after `close`."""
