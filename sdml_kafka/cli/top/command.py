"""Shows what a program is doing, again and again."""

import sys
import time
from typing import TYPE_CHECKING

from sdml_kafka.cli.terminal import CannotRun, complain, require
from sdml_kafka.cli.top.arguments import TopOptions
from sdml_kafka.cli.top.fetching import NoAnswer, fetch

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

FAILED = 1
RESIZE_CHECK_S = 0.1


def run_top(options: TopOptions) -> int:
    """Show pictures until Ctrl-C, or one picture if that is asked for or stdout is no terminal."""
    require("rich", "cli")
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write")
    if options.once or not sys.stdout.isatty():
        return _show_once(options.url)
    _show_live(options)
    return 0


def _show_once(url: str) -> int:
    # Imported late, as below: without the extra the command says what is missing.
    from rich.console import Console

    from sdml_kafka.cli.top.history import History
    from sdml_kafka.cli.top.picture import picture

    try:
        document = fetch(url)
    except NoAnswer as reason:
        complain(reason)
        return FAILED
    Console().print(picture(document, History(), url))
    return 0


def _show_live(options: TopOptions) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from sdml_kafka.cli.top.fitting import Fitted, Section
    from sdml_kafka.cli.top.history import History
    from sdml_kafka.cli.top.picture import sections
    from sdml_kafka.printable import one_line

    console, history, shown = Console(), History(), list[Section]()
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            try:
                document = fetch(options.url)
            except NoAnswer as reason:
                trouble = Section(Text(one_line(reason), "bold red"))
                live.update(Fitted([trouble, *shown]), refresh=True)
            else:
                history.note(document)
                shown = sections(document, history, options.url)
                live.update(Fitted(shown), refresh=True)
            _wait(options.interval_s, console, live)


def _wait(seconds: float, console: "Console", live: "Live") -> None:
    """Wait for the next look, and draw again if the terminal gets another size."""
    until, size = time.monotonic() + seconds, console.size
    while (left_s := until - time.monotonic()) > 0:
        # Asking for the size works everywhere; SIGWINCH does not, and would not end the sleep.
        time.sleep(min(left_s, RESIZE_CHECK_S))
        if console.size != size:
            size = console.size
            live.refresh()
