"""Reading lines without holding up the event loop."""

import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from sdml_kafka.cli import input as module
from sdml_kafka.cli.input import Input, LineTooLong

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


async def read(fd: int) -> list[bytes]:
    return [line async for lines in Input(fd).lines() for line in lines]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a\n\nb", [b"a", b"", b"b"]),
        (b"a\r\n\xff\x00\n", [b"a\r", b"\xff\x00"]),
    ],
)
async def test_lines(data: bytes, lines: list[bytes], tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(data)
    with file.open("rb") as opened:
        assert await read(opened.fileno()) == lines


async def test_a_line_of_several_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "READ_BYTES", 3)
    file = tmp_path / "lines"
    file.write_bytes(b"abcdefgh\ni\njklm")
    with file.open("rb") as opened:
        assert await read(opened.fileno()) == [b"abcdefgh", b"i", b"jklm"]


async def test_an_endless_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 1 << 20)
    zeros = os.open("/dev/zero", os.O_RDONLY)
    with pytest.raises(LineTooLong):
        await read(zeros)
    os.close(zeros)


async def test_a_line_is_there_as_soon_as_it_came(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = Input(reading).lines()
    os.write(writing, b"a\nb")
    assert list(await anext(lines)) == [b"a"]
    with anyio.move_on_after(0.05) as waiting:  # nothing more has come
        await anext(lines)
    assert waiting.cancelled_caught
    os.close(writing)


async def test_the_end_of_a_pipe(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"a\nb")
    os.close(writing)
    assert await read(reading) == [b"a", b"b"]
