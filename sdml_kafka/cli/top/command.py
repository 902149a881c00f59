"""Shows what a program is doing, again and again."""

import sys
import time
from typing import TYPE_CHECKING

from sdml_kafka.cli.terminal import CannotRun, complain, require
from sdml_kafka.cli.top.arguments import TopOptions
from sdml_kafka.cli.top.fetching import NoAnswer, fetch

if TYPE_CHECKING:
    from rich.live import Live

    from sdml_kafka.cli.top.fitting import Fitted

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

    history, shown = History(), list[Section]()
    with Live(console=Console(), auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            try:
                document = fetch(options.url)
            except NoAnswer as reason:
                picture = [Section(Text(one_line(reason), "bold red")), *shown]
            else:
                history.note(document)
                picture = shown = sections(document, history, options.url)
            _show(Fitted(picture), options.interval_s, live)


def _show(picture: "Fitted", seconds: float, live: "Live") -> None:
    """Draw the picture, and again whenever the terminal gets another size, for this long."""
    until, drawn = time.monotonic() + seconds, None
    while True:
        # The size is noted before the drawing: a change in between is followed as well.
        if (size := live.console.size) != drawn:
            drawn = size
            live.update(picture, refresh=True)
        if (left_s := until - time.monotonic()) <= 0:
            return
        # Asking for the size works everywhere; SIGWINCH does not, and would not end the sleep.
        time.sleep(min(left_s, RESIZE_CHECK_S))
