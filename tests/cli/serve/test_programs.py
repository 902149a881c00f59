"""Programs that are run for a request, and how each of them ends."""

import os
from pathlib import Path

import anyio
import pytest

from sdml_kafka.cli.serve.guard_process import GuardProcess
from sdml_kafka.cli.serve.programs import MAX_OUTPUT_BYTES, Program, ProgramResult
from sdml_kafka.cli.serve.stderr_lines import MAX_STDERR_BYTES
from tests.support.processes import PATIENCE_S, first_pid, is_alive, shell
from tests.support.programs import run_program

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


async def test_stdin_to_stdout(guard: GuardProcess) -> None:
    value = os.urandom(500_000)
    assert await run_program(guard, "cat", value=value) == ProgramResult(
        value, 0, is_too_long=False
    )


async def test_no_shell_looks_at_the_arguments(guard: GuardProcess) -> None:
    result = await run_program(guard, "printf", "%s", "$(id) `id` * ; id")
    assert result.output == b"$(id) `id` * ; id"


async def test_an_exit_code(guard: GuardProcess) -> None:
    assert (await run_program(guard, *shell("echo so far; exit 7"))).code == 7


async def test_ended_by_a_signal(guard: GuardProcess) -> None:
    assert (await run_program(guard, *shell("kill -9 $$"))).code == -9


async def test_a_program_need_not_read_its_input(guard: GuardProcess) -> None:
    result = await run_program(guard, "true", value=b"x" * 1_000_000)
    assert result == ProgramResult(b"", 0, is_too_long=False)


async def test_too_much_output_ends_it(guard: GuardProcess) -> None:
    result = await run_program(guard, "yes")
    assert result.is_too_long


async def test_just_as_much_as_is_allowed(guard: GuardProcess) -> None:
    result = await run_program(guard, "head", "-c", str(MAX_OUTPUT_BYTES), "/dev/zero")
    assert (len(result.output), result.is_too_long) == (MAX_OUTPUT_BYTES, False)


async def test_a_program_that_cannot_be_started(guard: GuardProcess, tmp_path: Path) -> None:
    not_a_program = tmp_path / "text"
    not_a_program.write_text("no program")
    not_a_program.chmod(0o755)
    with pytest.raises(OSError, match="Exec format"):
        await run_program(guard, str(not_a_program))


async def test_stderr_comes_out_of_ours_escaped(
    guard: GuardProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_program(guard, *shell(r"printf 'one\n\033[31mtwo\n\nthree' >&2"))
    shown = capsys.readouterr().err
    pid = shown[shown.index("[") : shown.index("]") + 1]
    assert shown.splitlines() == [
        f"sh{pid}: {text}" for text in ("one", "\\x1b[31mtwo", "", "three")
    ]


async def test_stderr_is_bounded_and_does_not_hold_the_program_up(
    guard: GuardProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    result = await run_program(guard, *shell("head -c 3000000 /dev/zero >&2; echo done"))
    assert result.output == b"done\n"
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1].endswith("(more is not shown)")
    assert len(shown) < 5 * MAX_STDERR_BYTES  # a zero byte is shown as \x00


@pytest.mark.parametrize(
    "script",
    ["exec sleep 60", "trap '' TERM; sleep 60 & wait; wait", "sleep 60 | sleep 60"],
    ids=["ends when asked", "has to be killed", "with children of its own"],
)
async def test_a_cancelled_run_leaves_no_process_behind(
    guard: GuardProcess, script: str, tmp_path: Path
) -> None:
    program = Program(shell(f"echo $$ > {tmp_path}/pid; {script}"), guard)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(program.run, b"", dict(os.environ))
            pid = await first_pid(tmp_path)
            tasks.cancel_scope.cancel()
    assert not is_alive(pid)
    with pytest.raises(ProcessLookupError):
        while True:  # the processes of its group need a moment to end
            os.killpg(pid, 0)
            await anyio.sleep(0.01)
