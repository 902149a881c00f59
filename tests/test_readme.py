"""The README can be read where packages are published: its links lead into the repository."""

import re
import tomllib

from tests.support.headings import anchors_of
from tests.support.page_blocks import ROOT

README = ROOT / "README.md"
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
PICTURES = REPOSITORY.replace("https://github.com/", "https://raw.githubusercontent.com/")
LINK = re.compile(r"\]\((\S+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
ELSEWHERE = {"https://anyio.readthedocs.io", "https://aiokafka.readthedocs.io"}


def test_each_link_leads_to_what_is_there() -> None:
    links = {inline or reference for inline, reference in LINK.findall(README.read_text())}
    assert len(links) > 20
    assert [link for link in links - ELSEWHERE if not leads_somewhere(link)] == []


def test_each_reference_is_defined() -> None:
    text = README.read_text()
    used = set(re.findall(r"\w`?\]\[([^\]\s]+)\]", text))
    assert used <= set(re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE))
    assert used


def leads_somewhere(link: str) -> bool:
    """Return whether the checkout has the file, and its page the heading, that a link names."""
    if link.startswith(PICTURES):
        return (ROOT / link.removeprefix(f"{PICTURES}/main/")).is_file()
    address, _, anchor = link.partition("#")
    found = re.fullmatch(rf"{re.escape(REPOSITORY)}/(blob|tree)/main/(\S+)", address)
    if found is None:
        return False
    path = ROOT / found[2]
    there = path.is_dir() if found[1] == "tree" else path.is_file()
    return there and (not anchor or f"#{anchor}" in anchors_of(path))


def test_the_project_s_addresses_are_of_one_repository() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert [each for each in urls.values() if not each.startswith(REPOSITORY)] == []
