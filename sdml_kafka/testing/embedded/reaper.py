"""The process between a program and its JVMs, which ends them when the program ends.

It is run as a script by its path, with the standard library only so that it is up in some 20 ms:
`python -I -S reaper.py PARENT_PID FOLDER`. It reads a JSON command from each line of stdin and
answers it with a line. The end of stdin means that the parent is gone, however that came about:
then every JVM is killed and the folder removed.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_PARENT_CHECK_S = 0.5
_PR_SET_PDEATHSIG = 1

type Children = dict[int, subprocess.Popen[bytes]]


def _die_with_this_process() -> Callable[[], object] | None:
    """Return what lets a child die if this process itself is killed, which only Linux can do."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(children: Children, node: int, argv: list[str], log: str, folder: str) -> int:
    with open(log, "ab") as output:
        children[node] = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_this_process(),
        )
    return children[node].pid


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    # Until a child was waited for, its number cannot belong to another process.
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
            if number == signal.SIGSTOP and hasattr(os, "waitid"):
                # On a busy machine some of its threads run on for a while.
                os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def _kill(child: subprocess.Popen[bytes]) -> int:
    _signal(child, signal.SIGKILL)
    return child.wait()


def _obey(children: Children, command: dict[str, Any], folder: str) -> int | None:
    node: int = command["node"]
    match command["do"]:
        case "start":
            return _start(children, node, command["argv"], command["log"], folder)
        case "signal":
            _signal(children[node], command["signal"])
            return None
        case "kill":
            return _kill(children[node])
        case "poll":
            return children[node].poll()
        case unknown:
            raise ValueError(f"no such command: {unknown}")


def _commands(parent: int) -> Iterator[dict[str, Any]]:
    pending = b""
    # The end of stdin does not suffice: a fork of the parent holds the pipe open as well.
    while os.getppid() == parent:
        if not select.select([0], [], [], _PARENT_CHECK_S)[0]:
            continue
        data = os.read(0, 1 << 16)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        yield from map(json.loads, lines)


def _reap(children: Children, folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for child in children.values():
        _signal(child, signal.SIGKILL)
    for child in children.values():
        child.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    parent, folder = int(sys.argv[1]), sys.argv[2]
    children: Children = {}
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a parent that ignores it hands that down
    try:
        for command in _commands(parent):
            answer: dict[str, Any] = {"id": command["id"]}
            try:
                answer["ok"] = _obey(children, command, folder)
            except OSError as error:
                answer["error"] = str(error)
            os.write(1, json.dumps(answer).encode() + b"\n")
    finally:
        _reap(children, folder)


if __name__ == "__main__":
    main()
