"""Docstrings say what a reader of the API reference needs, by the rules of docs/contributing.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import sdml_kafka

PACKAGE = Path(sdml_kafka.__file__).parent  # which a test of the wheel finds where it is installed
TREES = {file: ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")}
ARGUMENT = re.compile(r"^    \*{0,2}(\w+)(?: \(.+\))?:", re.MULTILINE)
NEXT_SECTION = re.compile(r"\n(?:Returns|Raises|Yields):")

type Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_what_describes_its_arguments_describes_each_of_them() -> None:
    checked = 0
    for file, tree in TREES.items():
        for function, docstring in functions_of(tree):
            _, _, arguments = docstring.partition("Args:\n")
            if arguments:
                checked += 1
                described = ARGUMENT.findall(NEXT_SECTION.split(arguments)[0])
                assert set(described) == set(parameters_of(function)), (file.name, function.name)
    assert checked > 100


def test_none_begins_with_a_question() -> None:
    """A docstring begins with a verb, or names the thing: "True if ...", "The number of ..."."""
    begun = re.compile(r"What|Whether")
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and begun.match(str(node.value.value))
    ]
    assert found == []


def functions_of(tree: ast.Module) -> Iterator[tuple[Function, str]]:
    """Yield functions with their docstrings; a constructor's may be its class's."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.Module):
            continue
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(each) or ""
                if each.name == "__init__" and "Args:" not in docstring:
                    docstring = ast.get_docstring(node) or ""
                yield each, docstring


def parameters_of(function: Function) -> list[str]:
    """Return the names of what a caller may give."""
    given = function.args
    named = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [each.arg for each in named if each is not None and each.arg not in ("self", "cls")]
