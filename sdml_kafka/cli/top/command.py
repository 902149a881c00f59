"""Shows what a program is doing, again and again."""

import sys
import time

from sdml_kafka.cli.terminal import CannotRun, complain, require
from sdml_kafka.cli.top.arguments import TopOptions
from sdml_kafka.cli.top.fetching import NoAnswer, fetch

FAILED = 1


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
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from sdml_kafka.cli.top.history import History
    from sdml_kafka.cli.top.picture import picture
    from sdml_kafka.printable import one_line

    history, shown = History(), Group()
    with Live(console=Console(), auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        while True:
            try:
                document = fetch(options.url)
            except NoAnswer as reason:
                live.update(Group(Text(one_line(reason), "bold red"), shown), refresh=True)
            else:
                history.note(document)
                shown = Group(picture(document, history, options.url))
                live.update(shown, refresh=True)
            time.sleep(options.interval_s)
