"""What the demo looks like in a terminal, from start to end."""

import io
import re

from rich.console import Console

from sdml_kafka.cli.demo.display.live_terminal import LiveTerminalDisplay
from sdml_kafka.cli.demo.event_log import LogLine
from tests.support.demo_frames import FINAL_REPORT, frame


def terminal(width: int, height: int) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="standard"
    )


def test_a_live_display_from_start_to_end() -> None:
    console = terminal(80, 24)
    display = LiveTerminalDisplay(console)
    display.starting("starting \x1b[1m")
    display.show(frame())
    display.log(LogLine(1.0, "something", "plain"))
    display.show(frame(5.0))
    display.close()
    display.close()
    display.report(FINAL_REPORT)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is back
    assert "✔ balanced" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
