"""Fits a picture into the rows of a terminal, and says how much of it is not seen."""

from collections.abc import Sequence

from attrs import frozen
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text


@frozen
class Section:
    """An object in the picture, or a line above the objects."""

    troubles: RenderableType
    """The title and what is wrong: the last lines to be left out."""
    details: RenderableType | None = None


class Fitted:
    """Sections in as many lines as the terminal has rows; details give way to troubles."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = sections

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines that fit, and the number of the others."""
        troubles = [_lines(console, options, each.troubles) for each in self._sections]
        details = [_lines(console, options, each.details) for each in self._sections]
        hidden = 0
        if sum(map(len, troubles + details)) > options.max_height:
            left = max(0, options.max_height - 1)
            for lines in troubles + details:
                hidden += max(0, len(lines) - left)
                del lines[left:]
                left -= len(lines)
        for section in zip(troubles, details, strict=True):
            for line in (line for lines in section for line in lines):
                yield from line
                yield Segment.line()
        if hidden:
            yield Text(f"... {hidden} more lines", "bold")


def _lines(
    console: Console, options: ConsoleOptions, part: RenderableType | None
) -> list[list[Segment]]:
    return [] if part is None else console.render_lines(part, options.reset_height(), pad=False)
