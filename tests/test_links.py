"""The links, files and functions that the README and the pages in docs/ name are there."""

import re
from pathlib import Path

import pytest

from tests.support.headings import anchors_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sdml_kafka"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "findings/README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
CODE_BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`((?:[\w-]+/)+[\w-]+\.\w+)`")
TEST = re.compile(r"\[`(\w+\.py)::(\w+)`\]\(([^)]+)\)")
FUNCTION = re.compile(r"`(?:\w+\.)?(\w+)`")


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links_of(page: Path) -> list[tuple[str, str]]:
    """Return the links of a page; `Mailbox[Order](100)` in a program is none."""
    return LINK.findall(CODE_BLOCK.sub("", page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_link_leads_to_a_file(page: Path) -> None:
    assert [link for link, _ in links_of(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_anchor_is_that_of_a_heading(page: Path) -> None:
    links = [(page.parent / link if link else page, anchor) for link, anchor in links_of(page)]
    assert [(p, anchor) for p, anchor in links if anchor and anchor not in anchors_of(p)] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_each_file_that_is_named_is_there(page: Path) -> None:
    named = FILE.findall(page.read_text())
    assert [name for name in named if not any((at / name).exists() for at in (ROOT, PACKAGE))] == []


def test_each_file_that_the_source_names_is_there() -> None:
    """Docstrings and comments may leave out the first folders of a path."""
    folders = PACKAGE, ROOT / "tests", ROOT / "examples"
    there = [f"{path}" for folder in folders for path in folder.rglob("*.py")]
    for source in PACKAGE.rglob("*.py"):
        for name in re.findall(r"`([\w/-]+\.py)`", source.read_text()):
            assert any(path.endswith(f"/{name}") for path in there), (source.name, name)


def test_each_test_that_proves_a_promise_is_there() -> None:
    page = ROOT / "docs" / "guarantees.md"
    cited = TEST.findall(page.read_text())
    assert len(cited) == page.read_text().count("::") > 50
    for name, function, link in cited:
        file = page.parent / link
        assert file.name == name
        assert re.search(rf"^(async )?def {function}\(", file.read_text(), re.MULTILINE), function


def test_each_promise_names_a_test() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    promises = re.findall(r"^\| (?!promise )(.+?) \| (.*) \|$", text, re.MULTILINE)
    assert len(promises) > 70
    assert [promise for promise, proofs in promises if not TEST.search(proofs)] == []


def test_each_function_of_the_journeys_is_in_its_file() -> None:
    rows = re.findall(r"^\|.*\|(.*\.py`.*)\|(.*`.*)\|$", ARCHITECTURE.read_text(), re.MULTILINE)
    assert len(rows) > 30
    for files, functions in rows:
        source = "\n".join((PACKAGE / name).read_text() for name in FILE.findall(files))
        for name in FUNCTION.findall(functions):
            assert re.search(rf"\b(def|class) {name}\b", source), (files, name)
