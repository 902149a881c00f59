"""Pictures of the demo that fit a terminal."""

import io

import pytest
from rich.console import Console

from sdml_kafka.cli.demo.display.picture import picture, sparkline
from tests.support.demo_frames import frame


@pytest.mark.parametrize(
    ("width", "height", "shows_whole_trees"),
    [(80, 24, False), (80, 50, False), (120, 24, False), (120, 40, True)],
)
def test_the_picture_fits_a_terminal(width: int, height: int, shows_whole_trees: bool) -> None:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(picture(frame(), width, height - 1))
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


def test_a_sparkline() -> None:
    assert sparkline((), 5) == ""
    assert sparkline((0, 0), 5) == "▁▁"
    assert sparkline((9, 0, 50, 100), 3) == "▁▅█"
