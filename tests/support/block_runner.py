"""Running a code block of a page inside of a test, with the hidden code around it."""

import ast
import logging
import subprocess
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio

from tests.support.page_blocks import Block
from tests.support.waiting import until

PATIENCE_S = 1.0
"""How long a block may go on before the hidden code after it begins."""

RUNNERS = {"anyio.run", "asyncio.run", "trio.run", "uvloop.run"}


class Awaited(ast.NodeTransformer):
    """Make `anyio.run(main, 1)` an `await main(1)`: the test brings the event loop."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Leave it: only what a program does at its top level is changed."""
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]

    def visit_If(self, node: ast.If) -> ast.AST:
        """Let a program run that asks whether it is run."""
        if ast.unparse(node.test) == "__name__ == '__main__'":
            node.test = ast.Constant(True)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Return the call, or what is awaited instead."""
        runner = ast.unparse(node.func)
        if runner not in RUNNERS:
            return node
        begun = node.args[0]
        if runner in ("anyio.run", "trio.run"):
            begun = ast.Call(begun, node.args[1:], [])
        return ast.Await(begun)


def without_runs(code: str) -> str:
    """Return the code without its last line if that runs the program."""
    tree = ast.parse(code)
    if isinstance(tree.body[-1], ast.Expr | ast.If):
        last = ast.unparse(tree.body[-1])
        if any(f"{run}(" in last for run in RUNNERS):
            del tree.body[-1]
    return ast.unparse(tree)


def compiled(code: str, name: str, line: int = 1) -> types.CodeType:
    """Compile the code with `await` at its top level, and as the program that is run.

    Raises:
        SyntaxError: It is no Python.
    """
    tree = ast.parse("\n" * (line - 1) + code, name)
    tree = ast.fix_missing_locations(Awaited().visit(tree))
    made: types.CodeType = compile(tree, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return made


async def execute(code: str, names: dict[str, Any], name: str, line: int = 1) -> None:
    """Run code that may have `await` at its top level."""
    waiting = eval(compiled(code, name, line), names)
    if waiting is not None:  # there is nothing to wait for without an `await`
        await waiting


async def run_block(block: Block, given: Mapping[str, object]) -> None:
    """Run a block and the hidden code around it; what still runs at the end is cancelled.

    Raises:
        ExceptionGroup: What the block or the hidden code has raised.
    """
    printed, ended = list[str](), anyio.Event()

    def show(*values: object, sep: str = " ", end: str = "\n", **_: object) -> None:
        printed.extend((sep.join(map(str, values)) + end).splitlines())

    module = types.ModuleType("page_block")  # where dataclasses and parsers look types up
    names = module.__dict__
    names.update(given, printed=printed, print=show, until=until, ended=ended.wait)
    sys.modules[module.__name__] = module
    try:
        with logging_as_it_was():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_run, block, names, ended)
                with anyio.move_on_after(PATIENCE_S):
                    await ended.wait()
                await execute(block.then, names, f"after {block.name}")
                tasks.cancel_scope.cancel()
    finally:
        del sys.modules[module.__name__]


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Give the root logger its level and handlers back, which frameworks set for a program."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers.copy()
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


async def _run(block: Block, names: dict[str, Any], ended: anyio.Event) -> None:
    async with AsyncExitStack() as stack:
        names["enter"] = stack.enter_async_context
        for each in block.earlier:
            await execute(each.before, names, f"before {each.name}")
            await execute(without_runs(each.code), names, each.page)
        await execute(block.before, names, f"before {block.name}")
        await execute(block.code, names, block.page, block.line + 1)
        ended.set()
        await anyio.sleep_forever()  # what was entered stays open for the hidden code


def run_by_pytest(blocks: Iterable[Block], folder: Path, conftest: str = "") -> None:
    """Run blocks that have tests or fixtures by pytest, in a process of its own."""
    for number, block in enumerate(blocks):
        parts = [part for each in (*block.earlier, block) for part in (each.before, each.code)]
        name = f"test_{block.page.replace('/', '_').removesuffix('.md')}_{block.line}_{number}.py"
        (folder / name).write_text("\n\n".join([*parts, block.then]))
    (folder / "conftest.py").write_text(conftest)
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
