"""Members of one group, each a process of its own, that come, leave by plan and are killed."""

import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import anyio
from attrs import define

ROOT = Path(__file__).parents[2]
LEAVE_S = 15.0


@define(eq=False)
class Member:
    name: str
    process: "subprocess.Popen[str]"


class Fleet:
    """Runs a module for each member, with its name as the last argument.

    The program prints "ready" once it has entered, and leaves by plan on SIGTERM.
    """

    def __init__(self, module: str, arguments: list[str], folder: Path) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._folder = folder
        self._numbers = count(1)
        self._started: list[Member] = []
        self._members: list[Member] = []
        self.killed: list[str] = []
        """The names of the members that were killed."""

    def __len__(self) -> int:
        return len(self._members)

    async def join(self, members: int = 1) -> None:
        """Start more members, and return when they are ready."""
        joining = [self._start() for _ in range(members)]
        self._started += joining
        for member in joining:
            assert member.process.stdout is not None
            line = await anyio.to_thread.run_sync(member.process.stdout.readline)
            assert line == "ready\n", self._log(member)
            self._members.append(member)

    def _start(self) -> Member:
        name = f"s{next(self._numbers)}"
        with open(self._folder / name, "w") as log:
            process = subprocess.Popen(
                [*self._command, name], stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
            )
        return Member(name, process)

    async def leave(self, at: int = 0) -> None:
        """Let a member leave by plan, by default the oldest."""
        member = self._members.pop(at)
        member.process.terminate()
        try:
            code = await anyio.to_thread.run_sync(lambda: member.process.wait(LEAVE_S))
        finally:
            self._end(member)
        assert code == 0, self._log(member)

    async def kill(self, at: int = 0) -> None:
        """Kill a member with SIGKILL, by default the oldest."""
        member = self._members.pop(at)
        self._end(member)
        self.killed.append(member.name)

    async def freeze(self, at: int, seconds: float) -> None:
        """Stop a member's process for some seconds, after which it goes on where it was."""
        process = self._members[at].process
        process.send_signal(signal.SIGSTOP)
        try:
            await anyio.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("s*")))

    def close(self) -> None:
        for member in self._started:
            if member.process.returncode is None:
                self._end(member)

    def _end(self, member: Member) -> None:
        member.process.kill()
        member.process.communicate()

    def _log(self, member: Member) -> str:
        return f"{member.name}:\n{(self._folder / member.name).read_text()[-3000:]}"
