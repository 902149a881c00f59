"""What the demo looks like: plain, and in a terminal."""

import io
import re

import pytest
from attrs import evolve
from rich.console import Console

from sdml_kafka.cli.demo.closing import Closing
from sdml_kafka.cli.demo.plain import PlainShow, calls_summary, summary
from sdml_kafka.cli.demo.scene import CallsView, Line
from sdml_kafka.cli.demo.view import LiveShow, picture, sparkline
from tests.support.demo_scenes import scene

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
    assert "    requests             running\n      workers            running\n" in shown
    assert shown.count("calls 777") == 2
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


def test_a_plain_summary_of_the_calls() -> None:
    assert calls_summary(scene()) == (
        "           calls 777 (55/s)  p50 2.2  p99 1,234 ms  in flight 8"
    )
    none_yet = CallsView(made=0, rate=0.0, in_flight=0, p50_ms=None, p99_ms=None)
    assert "p50 -  p99 - ms" in calls_summary(evolve(scene(), calls=none_yet))


def terminal(width: int, height: int) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="standard"
    )


@pytest.mark.parametrize(
    ("width", "height", "shows_whole_trees"),
    [(80, 24, False), (80, 50, False), (120, 24, False), (120, 40, True)],
)
def test_the_picture_fits_a_terminal(width: int, height: int, shows_whole_trees: bool) -> None:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(picture(scene(), width, height - 1))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    lines = shown.splitlines()
    assert len(lines) < height
    assert all(len(line) <= width for line in lines)
    for text in ("commit-scheduler", "◐", "↻1", "✖ broker down", "1,234", "nobody", "server 2"):
        assert text in shown
    for text in ("777", "55/s", "p50 2.2  p99 1,234 ms", "in flight"):
        assert text in shown
    assert ("◐ restarts" in shown) is shows_whole_trees
    assert ("├ requests" in shown or "╰ requests" in shown) is shows_whole_trees
    assert "line 39" in lines[-2]
    assert "line 37" in lines[-4]  # some of what happened at least
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
