"""What the demo looks like: plain, and in a terminal."""

import io
import re

import pytest
from attrs import evolve
from rich.console import Console

from sdml_kafka.cli.demo.closing import Closing
from sdml_kafka.cli.demo.plain import PlainShow, summary
from sdml_kafka.cli.demo.scene import Line
from sdml_kafka.cli.demo.view import FIXED_HEIGHT, LiveShow, picture, sparkline

from .scenes import scene

CLOSING = Closing((("sent", 5), ("lost", 0), ("  rebalance", 0)), ("lost: a",), "balanced", True)


def test_plain_lines_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    show = PlainShow()
    show.starting("starting \x1b[1m")
    for tenth in range(41):
        show.update(scene(tenth / 10))
    show.line(Line(1.0, "ada: crashed \x1b[31m\nbadly", "bad"))
    show.close()
    show.books(CLOSING)
    shown = capsys.readouterr().out
    assert all(" " <= char <= "~" or char == "\n" for char in shown)
    assert "  1.0 s  * ada: crashed \\x1b[31m badly\n" in shown
    assert "ada (in the group)\n  listener               running\n" in shown
    assert "    consumer-loop        restarting  1x restarted\n" in shown
    assert "bob (away)\n" in shown
    assert shown.count("sent 1,234") == 2  # a line every two seconds
    assert shown.endswith(
        "    rebalance                                    0\n  lost: a\nbalanced\n"
    )


def test_a_plain_summary() -> None:
    assert summary(scene()) == (
        "  4.0 s    sent 1,234 (100/s)  finished 1,200 (90/s)  lag 5  in flight 3  "
        "partitions: ada 2, bob away  BROKER DOWN"
    )
    assert "BROKER" not in summary(evolve(scene(), broker_is_up=True))


def terminal(width: int, height: int) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="standard"
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_the_picture_fits_a_terminal(width: int, height: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(picture(scene(), height - 1 - FIXED_HEIGHT))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    lines = shown.splitlines()
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)
    for text in ("commit-scheduler", "◐ restarts", "↻1", "✖ broker down", "1,234", "nobody"):
        assert text in shown
    assert "line 39" in lines[-2]
    assert "\x1b" not in shown


def test_a_live_show_from_start_to_end() -> None:
    console = terminal(80, 24)
    show = LiveShow(console)
    show.starting("starting \x1b[1m")
    show.update(scene())
    show.line(Line(1.0, "something", "plain"))
    show.update(scene(5.0))
    show.close()
    show.close()
    show.books(CLOSING)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is back
    assert "✔ balanced" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)


def test_a_sparkline() -> None:
    assert sparkline((), 5) == ""
    assert sparkline((0, 0), 5) == "▁▁"
    assert sparkline((9, 0, 50, 100), 3) == "▁▅█"
