"""`sdml-kafka top` in a terminal: drawn, resized, and left as it was."""

import codecs
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.support.command_line import EXIT_TIMEOUT_S, PROGRAM
from tests.support.status_over_http import answering, busy_listener, status_of

pytestmark = pytest.mark.timeout(60)

ALTERNATE, CURSOR_HIDDEN = "\x1b[?1049", "\x1b[?25"
"""What switches these modes, before `h` and `l`."""
HOME = "\x1b[H"
BODY = json.dumps(status_of(busy_listener(rows=20))).encode()


class Terminal:
    """The side of a pseudo-terminal where a person sits."""

    def __init__(self, columns: int, rows: int) -> None:
        self._ours, self.theirs = pty.openpty()
        # A read may end within a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.written = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Set the size, of which the kernel notifies the program with SIGWINCH."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ends_with_ctrl_c(self, process: subprocess.Popen[bytes]) -> int:
        """Press Ctrl-C, and return the exit code, with all read that the program has written."""
        os.write(self._ours, b"\x03")
        return self.ends(process)

    def ends(self, process: subprocess.Popen[bytes]) -> int:
        """Return the exit code, with all read that the program has written."""
        deadline = time.monotonic() + EXIT_TIMEOUT_S
        # A program whose terminal nobody reads is held in its writes.
        while process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        while self.read():
            pass
        return process.wait(0)

    def shows(self, is_right: Callable[[list[str]], bool]) -> None:
        """Wait until a picture is right."""
        deadline = time.monotonic() + EXIT_TIMEOUT_S
        while not is_right(self.picture()):
            assert time.monotonic() < deadline, self.written[-4000:]
            self.read(0.05)

    def picture(self) -> list[str]:
        """Return the lines of the latest picture, without what styles them."""
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written.rpartition(HOME)[2])
        return [line.rstrip() for line in text.split("\r\n")]

    def read(self, timeout_s: float = 0.0) -> bool:
        """Read what the program has written; return whether there was anything."""
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return False
        self.written += self._decoder.decode(os.read(self._ours, 1 << 16))
        return True

    def close(self) -> None:
        os.close(self._ours)
        os.close(self.theirs)


@contextmanager
def top(terminal: Terminal, *arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """Run the command with this as its controlling terminal, so that keys are signals to it."""
    # A new session's first terminal becomes the controlling one when its leader opens it.
    script = 'exec "$@" <"$0" >"$0" 2>&1'
    process = subprocess.Popen(
        ["sh", "-c", script, os.ttyname(terminal.theirs), PROGRAM, "top", *arguments],
        start_new_session=True,
        env={"PYTHONIOENCODING": "utf-8", "TERM": "xterm", "no_proxy": "127.0.0.1"},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        terminal.close()


def has(*words: str) -> Callable[[list[str]], bool]:
    return lambda lines: all(word in "\n".join(lines) for word in words)


@pytest.mark.parametrize("key", ["Ctrl-C", "SIGTERM"])
def test_a_terminal_is_drawn_on_until_it_is_left_as_it_was(key: str) -> None:
    terminal = Terminal(80, 24)
    before = termios.tcgetattr(terminal.theirs)
    with answering(BODY) as url, top(terminal, url, "--interval", "0.1") as process:
        terminal.shows(has("listener of group billing", "1,234,567", "more lines"))
        assert len(terminal.picture()) == 24
        assert ALTERNATE + "h" in terminal.written
        assert CURSOR_HIDDEN + "l" in terminal.written
        if key == "Ctrl-C":
            assert terminal.ends_with_ctrl_c(process) == 130
        else:
            process.terminate()
            assert terminal.ends(process) == 143
        last_modes = re.findall(r"\x1b\[\?(?:1049|25)[hl]", terminal.written)[-2:]
        assert sorted(last_modes) == [ALTERNATE + "l", CURSOR_HIDDEN + "h"]
        assert "Traceback" not in terminal.written
        assert termios.tcgetattr(terminal.theirs) == before


def test_a_resize_is_followed_before_the_next_look() -> None:
    terminal = Terminal(80, 24)
    with answering(BODY) as url, top(terminal, url, "--interval", "600") as process:
        terminal.shows(lambda lines: len(lines) == 24 and lines[-1].endswith("more lines"))
        terminal.resize(120, 50)
        terminal.shows(lambda lines: len(lines) == 50 and has("dead letters", "77,777,777")(lines))
        assert "more lines" not in "\n".join(terminal.picture())
        terminal.resize(60, 10)
        terminal.shows(lambda lines: len(lines) == 10 and lines[-1].endswith("more lines"))
        assert max(map(len, terminal.picture())) <= 60
        assert terminal.ends_with_ctrl_c(process) == 130


def test_a_program_that_is_away_is_said_above_its_last_picture_until_it_is_back() -> None:
    terminal = Terminal(80, 24)
    with answering(BODY) as url:
        pass
    port = urlsplit(url).port
    assert port
    with top(terminal, url, "--interval", "0.1") as process:
        terminal.shows(has("does not answer: [Errno 111]"))
        with answering(BODY, port=port):
            terminal.shows(has("listener of group billing"))
            assert "does not answer" not in "\n".join(terminal.picture())
        terminal.shows(has("does not answer", "listener of group billing", "more lines"))
        with answering(BODY, port=port):
            terminal.shows(lambda lines: "pid 4711" in lines[0])
        assert terminal.ends_with_ctrl_c(process) == 130
