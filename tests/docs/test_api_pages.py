"""Each public name has its place in the API reference, and none has two."""

import re
from importlib import import_module

import pytest

from tests.support.page_blocks import ROOT

ENTRIES = [
    name
    for page in sorted((ROOT / "docs" / "api").glob("*.md"))
    for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
]
MODULES = [
    "sdml_kafka",
    "sdml_kafka.asyncapi",
    "sdml_kafka.observability",
    "sdml_kafka.observability.opentelemetry",
    "sdml_kafka.observability.prometheus",
    "sdml_kafka.runtime",
    "sdml_kafka.testing",
]


@pytest.mark.parametrize("module", MODULES)
def test_each_public_name_is_on_a_page(module: str) -> None:
    """A missing one goes into a page of docs/api/, as `::: sdml_kafka.Name`."""
    names = {f"{module}.{name}": getattr(import_module(module), name) for name in public(module)}
    shown = {id(object_of(entry)) for entry in ENTRIES}
    assert [name for name, value in names.items() if id(value) not in shown] == []


def test_no_name_is_on_two_pages() -> None:
    assert sorted(set(ENTRIES)) == sorted(ENTRIES)
    assert len(ENTRIES) > 130


def public(module: str) -> list[str]:
    names: list[str] = import_module(module).__all__
    return names


def object_of(entry: str) -> object:
    module, name = entry.rsplit(".", 1)
    return getattr(import_module(module), name)
