"""Shows what a program is doing, again and again."""

import sys
import time
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING

from sdml_kafka.cli.output import write_out
from sdml_kafka.cli.terminal import CannotRun, complain, require
from sdml_kafka.cli.top.arguments import TopOptions
from sdml_kafka.cli.top.fetching import NoAnswer, fetch
from sdml_kafka.cli.top.leaving import Leaving, Left

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from sdml_kafka.cli.top.fitting import Fitted

FAILED = 1
RESIZE_CHECK_S = 0.1
UNKNOWN = "backslashreplace"
"""The handling of characters that stdout cannot have: not each terminal takes UTF-8."""


def run_top(options: TopOptions) -> int:
    """Show pictures until Ctrl-C, or one picture if that is asked for or stdout is no terminal."""
    require("rich", "cli")
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write")
    if options.once or not sys.stdout.isatty():
        return _show_once(options.url)
    # Imported late, as below: without the extra the command says what is missing.
    from rich.console import Console

    if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
        reconfigure(errors=UNKNOWN)
    return show_live(options, Console())


def _show_once(url: str) -> int:
    from rich.console import Console

    from sdml_kafka.cli.top.history import History
    from sdml_kafka.cli.top.picture import picture

    try:
        document = fetch(url)
    except NoAnswer as reason:
        complain(reason)
        return FAILED
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=sys.stdout.isatty())
    console.print(picture(document, History(), url))
    write_out(drawn.getvalue().encode(sys.stdout.encoding, UNKNOWN))
    return 0


def show_live(options: TopOptions, console: "Console") -> int:
    """Show pictures until Ctrl-C or SIGTERM, leave the terminal as it was, and return the code."""
    from rich.live import Live

    live = Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop")
    with Leaving() as leaving:
        live.start()
        try:
            with suppress(Left):
                _keep_showing(options, live, leaving)
        finally:
            live.stop()
    return 128 + leaving.number


def _keep_showing(options: TopOptions, live: "Live", leaving: Leaving) -> None:
    from rich.text import Text

    from sdml_kafka.cli.top.fitting import Fitted, Section
    from sdml_kafka.cli.top.history import History
    from sdml_kafka.cli.top.picture import sections
    from sdml_kafka.printable import one_line

    history, shown = History(), list[Section]()
    while True:
        try:
            with leaving.waiting():
                document = fetch(options.url)
        except NoAnswer as reason:
            picture = [Section(Text(one_line(reason), "bold red")), *shown]
        else:
            history.note(document)
            picture = shown = sections(document, history, options.url)
        _show(Fitted(picture), options.interval_s, live, leaving)


def _show(picture: "Fitted", seconds: float, live: "Live", leaving: Leaving) -> None:
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
        with leaving.waiting():
            time.sleep(min(left_s, RESIZE_CHECK_S))
