"""The house keeps its shape: small folders, short constructors, pure modules that never wait."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import sdml_kafka

PROJECT = Path(__file__).parents[1]
PACKAGE = Path(sdml_kafka.__file__).parent  # which a test of the wheel finds where it is installed
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({file.parent for file in FILES})

MAX_MODULES = 15
MAX_CONSTRUCTOR_LINES = 42


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def constructors(file: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            yield node


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_has_few_modules(folder: Path) -> None:
    modules = [file for file in folder.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= MAX_MODULES


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_says_what_it_is_for(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


def test_a_constructor_checks_and_hands_on() -> None:
    long = [
        f"{name_of(file)}:{each.lineno}"
        for file in FILES
        for each in constructors(file)
        if each.end_lineno is not None and each.end_lineno - each.lineno + 1 > MAX_CONSTRUCTOR_LINES
    ]
    assert long == []


def pure_modules() -> Iterator[Path]:
    """Yield the files that the import contract of pure modules names."""
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    (pure,) = [
        contract
        for contract in contracts["tool"]["importlinter"]["contracts"]
        if contract["name"].startswith("pure modules")
    ]
    for module in pure["source_modules"]:
        path = ROOT / module.replace(".", "/")
        yield from path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]


@pytest.mark.parametrize("file", list(pure_modules()), ids=name_of)
def test_a_pure_module_never_waits(file: Path) -> None:
    waits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    assert not [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, waits)]
