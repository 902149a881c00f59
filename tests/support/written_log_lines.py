"""The lines of the log that the source of the package writes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import sdml_kafka

PACKAGE = Path(sdml_kafka.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
LOGS = {"_log", "log", "_logger", "_limited", "limited", "_limited_log"}
"""The names of loggers, and of what limits their lines."""


class LogLine(NamedTuple):
    """A call that writes a line."""

    at: str
    """The file and the number of the line in it."""
    call: ast.Call
    level: str
    """The name of the method: "info", or "log" if the level is an argument."""
    texts: tuple[str, ...]
    """The texts that it writes, with `…` for each placeholder; none if none is in the source."""


def log_lines() -> Iterator[LogLine]:
    """Yield each call that writes a line, but for lines in the place of aiokafka's own."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        if 'getLogger("aiokafka")' in file.read_text("utf-8"):
            continue
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                named = _texts_by_name(function)
                for call in filter(_writes, ast.walk(function)):
                    assert isinstance(call, ast.Call)
                    at = f"{file.relative_to(PACKAGE)}:{call.lineno}"
                    assert isinstance(call.func, ast.Attribute)
                    yield LogLine(at, call, call.func.attr, tuple(_texts_of(call, named)))


def _writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = node.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return node.func.attr in LEVELS and name in LOGS


def _texts_by_name(function: ast.AST) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        (target,), value = node.targets[-1:], node.value
        names, values = [target], [value]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            names, values = target.elts, value.elts
        for name, each in zip(names, values, strict=False):
            if isinstance(name, ast.Name):
                found.setdefault(name.id, []).append(each)
    return found


def _texts_of(call: ast.Call, named: dict[str, list[ast.expr]]) -> Iterator[str]:
    assert isinstance(call.func, ast.Attribute)
    at = 2 if call.func.attr == "log" else 0  # behind the level and the kind of the line
    for argument in call.args[at : at + 1]:
        several = named.get(argument.id, []) if isinstance(argument, ast.Name) else [argument]
        for each in several:
            parts = each.values if isinstance(each, ast.JoinedStr) else [each]
            text = "".join(
                str(part.value)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
                else "…"
                for part in parts
            )
            yield re.sub(r"%[-.\w]*?[sdrgf]", "…", text)
