"""Programs that are run for a request: their end, whatever they do."""

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from sdml_kafka.cli.serve import guard as _guard
from sdml_kafka.cli.serve.programs import (
    MAX_OUTPUT_BYTES,
    MAX_STDERR_BYTES,
    Ended,
    Guard,
    Lines,
    Program,
)
from tests.support.processes import first_pid, is_alive, shell

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

PATIENCE_S = 15.0


async def run(guard: Guard, *command: str, value: bytes = b"") -> Ended:
    with anyio.fail_after(PATIENCE_S):
        return await Program(command, guard).run(value, dict(os.environ))


async def until_gone(pid: int) -> None:
    with anyio.fail_after(PATIENCE_S):
        while is_alive(pid):  # noqa: ASYNC110  nobody tells
            await anyio.sleep(0.01)


async def test_stdin_to_stdout(guard: Guard) -> None:
    value = os.urandom(500_000)
    assert await run(guard, "cat", value=value) == Ended(value, 0, is_too_long=False)


async def test_no_shell_looks_at_the_arguments(guard: Guard) -> None:
    ended = await run(guard, "printf", "%s", "$(id) `id` * ; id")
    assert ended.output == b"$(id) `id` * ; id"


async def test_an_exit_code(guard: Guard) -> None:
    assert (await run(guard, *shell("echo so far; exit 7"))).code == 7


async def test_ended_by_a_signal(guard: Guard) -> None:
    assert (await run(guard, *shell("kill -9 $$"))).code == -9


async def test_a_program_need_not_read_its_input(guard: Guard) -> None:
    ended = await run(guard, "true", value=b"x" * 1_000_000)
    assert ended == Ended(b"", 0, is_too_long=False)


async def test_too_much_output_ends_it(guard: Guard) -> None:
    ended = await run(guard, "yes")
    assert ended.is_too_long


async def test_just_as_much_as_is_allowed(guard: Guard) -> None:
    ended = await run(guard, "head", "-c", str(MAX_OUTPUT_BYTES), "/dev/zero")
    assert (len(ended.output), ended.is_too_long) == (MAX_OUTPUT_BYTES, False)


async def test_a_program_that_cannot_be_started(guard: Guard, tmp_path: Path) -> None:
    not_a_program = tmp_path / "text"
    not_a_program.write_text("no program")
    not_a_program.chmod(0o755)
    with pytest.raises(OSError, match="Exec format"):
        await run(guard, str(not_a_program))


async def test_stderr_comes_out_of_ours_escaped(
    guard: Guard, capsys: pytest.CaptureFixture[str]
) -> None:
    await run(guard, *shell(r"printf 'one\n\033[31mtwo\n\nthree' >&2"))
    shown = capsys.readouterr().err
    pid = shown[shown.index("[") : shown.index("]") + 1]
    assert shown.splitlines() == [
        f"sh{pid}: {text}" for text in ("one", "\\x1b[31mtwo", "", "three")
    ]


async def test_stderr_is_bounded_and_does_not_hold_the_program_up(
    guard: Guard, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = await run(guard, *shell("head -c 3000000 /dev/zero >&2; echo done"))
    assert ended.output == b"done\n"
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1].endswith("(more is not shown)")
    assert len(shown) < 5 * MAX_STDERR_BYTES  # a zero byte is shown as \x00


@pytest.mark.parametrize(
    "script",
    ["exec sleep 60", "trap '' TERM; sleep 60 & wait; wait", "sleep 60 | sleep 60"],
    ids=["ends when asked", "has to be killed", "with children of its own"],
)
async def test_cancelled_nothing_of_it_is_left(guard: Guard, script: str, tmp_path: Path) -> None:
    program = Program(shell(f"echo $$ > {tmp_path}/pid; {script}"), guard)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(program.run, b"", dict(os.environ))
            pid = await first_pid(tmp_path)
            tasks.cancel_scope.cancel()
    assert not is_alive(pid)
    with pytest.raises(ProcessLookupError):
        while True:  # those of its group may still be on their way out
            os.killpg(pid, 0)
            await anyio.sleep(0.01)


async def test_the_guard_ends_what_runs_when_nobody_else_does(tmp_path: Path) -> None:
    process = await anyio.open_process(["sleep", "60"], start_new_session=True)
    async with process:
        with Guard() as guard:
            guard.began(process.pid)
            guard.began(2_000_000_000)
            guard.ended(2_000_000_000)
        with anyio.fail_after(PATIENCE_S):
            assert await process.wait() == -signal.SIGKILL


def test_what_ended_is_not_the_guards_any_more() -> None:
    assert _guard.groups_left([b"+1\n", b"+2\n", b"-1\n", b"+3\n", b"-3\n"]) == {2}


async def test_a_guard_that_was_killed_holds_up_nothing(guard: Guard) -> None:
    guard._process.kill()
    guard._process.wait()
    assert (await run(guard, "echo", "still")).output == b"still\n"


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "too early"])
async def test_sigkill_leaves_no_program_behind(is_told: bool, tmp_path: Path) -> None:
    script = f"""
import anyio, os
from sdml_kafka.cli.serve.programs import Guard, Program
if not {is_told}:
    Guard.began = lambda *_: None
with Guard() as guard:
    command = ["sh", "-c", "echo $$ > {tmp_path}/pid; sleep 60"]
    anyio.run(Program(command, guard).run, b"", dict(os.environ))
"""
    async with await anyio.open_process([sys.executable, "-c", script]) as serving:
        pid = await first_pid(tmp_path)
        assert is_alive(pid)
        serving.kill()
    await until_gone(pid)


async def test_what_detaches_itself_is_not_left_behind_either(tmp_path: Path) -> None:
    with Guard() as guard:
        script = f"echo $$ > {tmp_path}/pid; exec sleep 60"
        await run(guard, *shell(f"setsid sh -c '{script}' >/dev/null 2>&1 </dev/null &"))
        pid = await first_pid(tmp_path)
        assert is_alive(pid)
    await until_gone(pid)


def test_lines_of_any_length_in_pieces_of_any_size() -> None:
    lines = Lines()
    shown = [*lines.feed(b"a\nb"), *lines.feed(b"c\n" + b"d" * 2500), *lines.rest()]
    assert shown == ["a", "bc", "d" * 1000, "d" * 1000, "d" * 500]
    assert list(lines.rest()) == []
