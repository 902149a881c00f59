"""Servers of one group, each a process of its own, that come and go."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

from tests.support.fleet import Fleet as AnyFleet


@frozen
class Execution:
    value: bytes
    name: str
    call_id: bytes


class Fleet(AnyFleet):
    def __init__(self, where: tuple[str, str, str, str], folder: Path, session_ms: int) -> None:
        self._executed = folder / "executed"
        self._executed.touch()
        arguments = [*where, str(self._executed), str(session_ms)]
        super().__init__("tests.support.rpc_chaos.server", arguments, folder)

    def executed(self) -> list[Execution]:
        lines = self._executed.read_bytes().splitlines()
        parts = [line.split(b" ", 2) for line in lines]
        return [Execution(value, name.decode(), id_) for value, name, id_ in parts]


@asynccontextmanager
async def fleet_of(
    members: int, where: tuple[str, str, str, str], folder: Path, session_ms: int
) -> AsyncGenerator[Fleet]:
    """Run servers; `where` names the event loop, the broker, the topic and the group."""
    fleet = Fleet(where, folder, session_ms)
    try:
        await fleet.join(members)
        yield fleet
    finally:
        fleet.close()
