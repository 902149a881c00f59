"""Samples running processes with py-spy, which sees C code and other threads as well."""

import ctypes
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

LIGHT = ["--nonblocking", "--rate", "1000"]
"""py-spy does not stop the process, and shows which threads run and in which Python function."""
NATIVE = ["--native", "--rate", "200"]
"""py-spy stops the process, and shows C code as well. A thread that slept looks as if it ran, since
having been stopped wakes it."""


@frozen
class Stack:
    """The functions that a thread was in."""

    thread: str
    frames: tuple[str, ...]
    """Each as `name (file:line)`, the outermost first."""


def allow_sampling() -> None:
    """Let a process sample this one that is not its parent, where Linux asks for that."""
    if sys.platform == "linux":
        PR_SET_PTRACER, ANY = 0x59616D61, -1
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)


@contextmanager
def sampling(pid: int, how: Sequence[str], output: Path) -> Generator[None]:
    """Sample a process while the body runs; `output` holds the samples then."""
    py_spy = Path(sys.executable).with_name("py-spy")
    options = [*how, "--threads", "--function", "--full-filenames", "--format", "raw"]
    command = [py_spy, "record", *options, "--output", output, "--pid", pid]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if "Sampling" not in said:
            raise ChildProcessError(said + process.stdout.read())
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def read_stacks(lines: Iterator[str]) -> Counter[Stack]:
    """Read what py-spy has written: one line for each stack, with its number of samples."""
    stacks: Counter[Stack] = Counter()
    for line in lines:
        frames, _, count = line.rpartition(" ")
        thread, *rest = frames.split(";")
        stacks[Stack(thread.partition(": ")[2] or thread, tuple(rest))] += int(count)
    return stacks
