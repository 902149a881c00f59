"""Ctrl-C and SIGTERM at any moment leave the terminal, and the signals, as they were."""

import io
import re
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from inspect import CO_GENERATOR
from types import FrameType
from typing import Any

import pytest
from rich.console import Console

from sdml_kafka.cli.top import command
from sdml_kafka.cli.top.arguments import TopOptions
from sdml_kafka.cli.top.command import show_live
from tests.support.status_over_http import busy_listener, status_of

pytestmark = pytest.mark.timeout(120)

DOCUMENT = status_of(busy_listener(rows=2))
LOOKS = 1
STEP = 307
"""The number of calls of which one is tried. It divides nothing that goes on regularly."""
OPTIONS = TopOptions("http://here", interval_s=0.0)


class Pressed(Console):
    """A terminal on which the key is pressed again while it is left."""

    def __init__(self, number: signal.Signals, out: io.StringIO, *, again: bool) -> None:
        super().__init__(file=out, force_terminal=True, width=80, height=24)
        self._number, self._again = number, again

    def show_cursor(self, show: bool = True) -> bool:
        if show and self._again:
            signal.raise_signal(self._number)
        return super().show_cursor(show)


def press(number: signal.Signals, own: object, first: int, call: int) -> None:
    """Press the key at the first call that is due while the command takes its signals itself."""
    if call >= first and signal.getsignal(number) != own:
        sys.setprofile(None)
        signal.raise_signal(number)


@contextmanager
def calling_back(on_call: Callable[[int], None]) -> Generator[list[int]]:
    """Call back with the number of each call of a Python function, and yield the last one."""
    count = [0]

    def note(frame: FrameType, event: str, _: Any) -> None:
        # What is raised as a generator is let go of is lost.
        if event == "call" and not frame.f_code.co_flags & CO_GENERATOR:
            count[0] += 1
            on_call(count[0])

    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(None)


def last_modes(text: str) -> dict[str, str]:
    """Return how the other screen and the cursor were left, of those that were changed."""
    return dict(re.findall(r"\x1b\[\?(1049|25)([hl])", text))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("again", [False, True])
def test_a_signal_at_any_call(
    number: signal.Signals, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = list[int]()

    def fetch(url: str) -> Any:
        looks.append(1)
        if len(looks) > LOOKS:  # there was no call left to be hit
            signal.raise_signal(number)
        return DOCUMENT

    monkeypatch.setattr(command, "fetch", fetch)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    own = signal.getsignal(number)
    at = tried = 0
    while len(looks) <= LOOKS:
        looks.clear()
        at, tried, out = at + STEP, tried + 1, io.StringIO()
        with calling_back(partial(press, number, own, at)):
            code = show_live(OPTIONS, Pressed(number, out, again=again))
        assert code == 128 + number
        assert last_modes(out.getvalue()) in ({}, {"1049": "l", "25": "h"}), at
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert tried > 10
