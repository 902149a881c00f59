"""Cuts what a program writes to stderr into bounded lines."""

from collections.abc import Iterator

MAX_STDERR_BYTES = 64 * 1024
MAX_LINE_BYTES = 1000


class StderrLines:
    """Lines of at most `MAX_LINE_BYTES`, out of the first `MAX_STDERR_BYTES` that are written."""

    def __init__(self) -> None:
        self._left = MAX_STDERR_BYTES
        self._line = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are complete with `data`."""
        if not self._left:
            return
        kept, self._left = data[: self._left], max(0, self._left - len(data))
        *lines, self._line = (self._line + kept).split(b"\n")
        for line in lines:
            yield from _pieces(line)
        if len(self._line) >= MAX_LINE_BYTES:
            yield from self.rest()
        if not self._left:
            yield from self.rest()
            yield "(more is not shown)"

    def rest(self) -> Iterator[str]:
        """Yield the last line when it has no line end."""
        if self._line:
            yield from _pieces(self._line)
            self._line = b""


def _pieces(line: bytes) -> Iterator[str]:
    for at in range(0, max(1, len(line)), MAX_LINE_BYTES):
        yield line[at : at + MAX_LINE_BYTES].decode("utf-8", "backslashreplace")
