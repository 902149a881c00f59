"""Servers of one group, each a process of its own, that come and go."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import anyio
from attrs import define, frozen

ROOT = Path(__file__).parents[3]
LEAVE_S = 15.0


@frozen
class Execution:
    value: bytes
    name: str
    call_id: bytes


@define(eq=False)
class Member:
    name: str
    process: "subprocess.Popen[str]"


class Fleet:
    def __init__(self, bootstrap: str, topic: str, group: str, backend: str, folder: Path) -> None:
        self._arguments = [backend, bootstrap, topic, group]
        self._folder = folder
        self._executed = folder / "executed"
        self._executed.touch()
        self._numbers = count(1)
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._members)

    async def join(self, members: int = 1) -> None:
        """Start more servers, and return when they serve."""
        joining = [self._start() for _ in range(members)]
        for member in joining:
            assert member.process.stdout is not None
            line = await anyio.to_thread.run_sync(member.process.stdout.readline)
            assert line == "ready\n", self._log(member)
        self._members += joining

    def _start(self) -> Member:
        name = f"s{next(self._numbers)}"
        command = [sys.executable, "-m", "tests.support.rpc_chaos.server", *self._arguments, name]
        with open(self._folder / name, "w") as log:
            process = subprocess.Popen(
                [*command, str(self._executed)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
            )
        return Member(name, process)

    async def leave(self) -> None:
        """Let the oldest server leave by plan."""
        member = self._members.pop(0)
        member.process.terminate()
        code = await anyio.to_thread.run_sync(lambda: member.process.wait(LEAVE_S))
        member.process.communicate()
        assert code == 0, self._log(member)

    async def kill(self) -> None:
        """Kill the oldest server with SIGKILL."""
        self._end(self._members.pop(0))

    def executed(self) -> list[Execution]:
        lines = self._executed.read_bytes().splitlines()
        parts = [line.split(b" ", 2) for line in lines]
        return [Execution(value, name.decode(), id_) for value, name, id_ in parts]

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("s*")))

    def close(self) -> None:
        for member in self._members:
            self._end(member)

    def _end(self, member: Member) -> None:
        member.process.kill()
        member.process.communicate()

    def _log(self, member: Member) -> str:
        return f"{member.name}:\n{(self._folder / member.name).read_text()[-3000:]}"


@asynccontextmanager
async def fleet_of(
    members: int, bootstrap: str, topic: str, group: str, backend: str, folder: Path
) -> AsyncGenerator[Fleet]:
    fleet = Fleet(bootstrap, topic, group, backend, folder)
    try:
        await fleet.join(members)
        yield fleet
    finally:
        fleet.close()
