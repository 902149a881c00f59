"""Shell scripts that tests run, and whether the processes that they start are alive."""

from pathlib import Path

import anyio

PATIENCE_S = 15.0


def shell(script: str) -> tuple[str, str, str]:
    return "sh", "-c", script


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def first_pid(folder: Path) -> int:
    """Return the number that a script writes to the file `pid` of the folder, once it is there."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            try:
                return int((folder / "pid").read_text())
            except (FileNotFoundError, ValueError):
                await anyio.sleep(0.01)


async def until_gone(pid: int) -> None:
    """Wait until the process has ended."""
    with anyio.fail_after(PATIENCE_S):
        while is_alive(pid):  # noqa: ASYNC110  (another's child has no event)
            await anyio.sleep(0.01)
