"""No program outlives `serve`, however `serve` ends."""

import signal
import sys
from pathlib import Path

import anyio
import pytest

from sdml_kafka.cli.serve.guard import groups_left
from sdml_kafka.cli.serve.guard_process import GuardProcess
from tests.support.processes import PATIENCE_S, first_pid, is_alive, shell, until_gone
from tests.support.programs import run_program

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


async def test_the_guard_ends_the_programs_that_run_when_it_is_closed(tmp_path: Path) -> None:
    process = await anyio.open_process(["sleep", "60"], start_new_session=True)
    async with process:
        with GuardProcess() as guard:
            guard.began(process.pid)
            guard.began(2_000_000_000)
            guard.ended(2_000_000_000)
        with anyio.fail_after(PATIENCE_S):
            assert await process.wait() == -signal.SIGKILL


def test_a_program_that_has_ended_is_not_guarded_any_more() -> None:
    assert groups_left([b"+1\n", b"+2\n", b"-1\n", b"+3\n", b"-3\n"]) == {2}


async def test_a_guard_that_was_killed_holds_up_nothing(guard: GuardProcess) -> None:
    guard._process.kill()
    guard._process.wait()
    assert (await run_program(guard, "echo", "still")).output == b"still\n"


@pytest.mark.parametrize("is_reported", [True, False], ids=["reported", "too early"])
async def test_sigkill_leaves_no_program_behind(is_reported: bool, tmp_path: Path) -> None:
    script = f"""
import anyio, os
from sdml_kafka.cli.serve.guard_process import GuardProcess
from sdml_kafka.cli.serve.programs import Program
if not {is_reported}:
    GuardProcess.began = lambda *_: None
with GuardProcess() as guard:
    command = ["sh", "-c", "echo $$ > {tmp_path}/pid; sleep 60"]
    anyio.run(Program(command, guard).run, b"", dict(os.environ))
"""
    async with await anyio.open_process([sys.executable, "-c", script]) as serving:
        pid = await first_pid(tmp_path)
        assert is_alive(pid)
        serving.kill()
    await until_gone(pid)


async def test_a_program_that_detaches_itself_is_not_left_behind_either(tmp_path: Path) -> None:
    with GuardProcess() as guard:
        script = f"echo $$ > {tmp_path}/pid; exec sleep 60"
        await run_program(guard, *shell(f"setsid sh -c '{script}' >/dev/null 2>&1 </dev/null &"))
        pid = await first_pid(tmp_path)
        assert is_alive(pid)
    await until_gone(pid)
