"""docs/operations.md names each error and only log lines that there are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sdml_kafka
from sdml_kafka import errors
from sdml_kafka.log_fields import LEFT_OUT, NAMES
from tests.support.written_log_lines import log_lines

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text("utf-8")
LOG, ERRORS = PAGE.split("## The errors")
LINES = re.findall(r"^\| [\w ,]*(?:INFO|WARNING|ERROR) \| `([^`]+)`", LOG, re.MULTILINE)


def texts() -> Iterator[str]:
    """Yield each text in the source of the package, without placeholders."""
    for file in Path(sdml_kafka.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


SOURCE = "\n".join(texts())


def test_the_page_has_lines() -> None:
    assert len(LINES) > 40


@pytest.mark.parametrize("line", LINES)
def test_each_line_of_the_log_is_in_the_source(line: str) -> None:
    pieces = [piece.strip(" :;,()") for piece in line.replace("60", "…").split("…")]
    assert [piece for piece in pieces if piece and piece not in SOURCE] == []


def is_on_the_page(text: str) -> bool:
    """Return whether the page has the line, or a fixed part of a line that is put together."""
    pieces = [piece.strip(" :;,()") for piece in text.split("…")]
    return any(len(piece) >= 8 and piece in LOG for piece in pieces) or any(
        re.search(".*".join(re.escape(each.strip()) for each in line.split("…")), text)
        for line in LINES
    )


def test_each_line_that_the_source_writes_is_on_the_page() -> None:
    lines = [each for each in log_lines() if each.level != "debug"]
    assert sum(len(each.texts) for each in lines) > 50
    missing = [
        (line.at, text)
        for line in lines
        for text in line.texts
        if re.search(r"\w", text) and not is_on_the_page(text)
    ]
    assert missing == []


def test_each_error_is_named() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", ERRORS, re.MULTILINE))
    assert named == set(errors.__all__) - {"SdmlKafkaError"}


def test_each_field_of_the_log_is_named() -> None:
    rows = re.findall(r"^\| (`kafka_[^|]*) \|", LOG, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*NAMES.values(), LEFT_OUT}
