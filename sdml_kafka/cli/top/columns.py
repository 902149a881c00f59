"""A table that fits into a terminal: figures stay whole, and what is needed least is left out."""

from collections.abc import Sequence

from attrs import frozen
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2
MIN_NAME = 16
"""The width down to which names are cut off before a column is left out."""


@frozen
class Column:
    head: str
    short: str = ""
    """The head where the table would not fit otherwise, if there is a shorter one."""
    is_number: bool = True
    leave_out: int = 0
    """The column with the highest number is left out first; one with 0 stays."""


class FittingTable:
    """A table whose first column is a name, which alone may be cut off."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
        self._columns = columns
        self._rows = rows
        self._cells = [max(map(cell_len, map(str, cells))) for cells in zip(*rows, strict=True)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table for this width."""
        shown = list(range(len(self._columns)))
        heads = [column.head for column in self._columns]
        name = max(self._cells[0], cell_len(heads[0]))
        if name + self._figures(shown, heads) > options.max_width:
            heads = [column.short or column.head for column in self._columns]
        while min(name, MIN_NAME) + self._figures(shown, heads) > options.max_width:
            last = max(shown, key=lambda index: self._columns[index].leave_out)
            if not self._columns[last].leave_out:
                break
            shown.remove(last)
        room = max(1, options.max_width - self._figures(shown, heads))
        yield self._table(shown, heads, min(name, room))

    def _figures(self, shown: Sequence[int], heads: Sequence[str]) -> int:
        """Return the width of all columns but the first one, with the gaps."""
        return sum(GAP + max(self._cells[index], cell_len(heads[index])) for index in shown[1:])

    def _table(self, shown: Sequence[int], heads: Sequence[str], name_width: int) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        for index in shown:
            table.add_column(
                heads[index],
                justify="right" if self._columns[index].is_number else "left",
                no_wrap=True,
                width=None if index else name_width,
            )
        for row in self._rows:
            table.add_row(*(row[index] for index in shown))
        return table
