"""What pyright says of the programs in this folder.

`.ci/run lint` runs this file. By hand: `uv run pytest tests/typing/check_programs.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RIGHT = tuple(
    HERE / f"{name}.py" for name in ("typed_program", "test_typed_program", "typed_actors")
)
WRONG = HERE / "wrong_programs.py"
MARK = "  # expect-error"

type Errors = dict[Path, dict[int, str]]


@pytest.fixture(scope="module")
def errors() -> Errors:
    """Return pyright's errors by file and line, of strict mode, as pyproject.toml asks for."""
    command = [sys.executable, "-m", "pyright", "--outputjson", *map(str, RIGHT), str(WRONG)]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    found: Errors = {}
    for each in json.loads(done.stdout)["generalDiagnostics"]:
        line = each["range"]["start"]["line"] + 1
        found.setdefault(Path(each["file"]), {})[line] = each["message"]
    return found


@pytest.mark.parametrize("program", RIGHT, ids=lambda path: path.name)
def test_what_is_right_passes(program: Path, errors: Errors) -> None:
    assert errors.get(program, {}) == {}


def test_each_wrong_line_is_an_error_and_no_other_line_is(errors: Errors) -> None:
    lines = WRONG.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith(MARK)}
    assert len(marked) > 40
    found = errors[WRONG]
    assert [(at, lines[at - 1]) for at in sorted(marked - found.keys())] == []
    assert {at: text for at, text in found.items() if at not in marked} == {}
