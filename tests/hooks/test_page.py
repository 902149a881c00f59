"""docs/observability.md lists each method of a hook, and the fields of its event."""

import re
from pathlib import Path

from attrs import fields

import sdml_kafka
from sdml_kafka.hooks.calls import EVENTS

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| .* \| `(\w+)`: (.*) \|$", PAGE, re.MULTILINE)


def test_the_page_lists_each_method() -> None:
    assert tuple(method for method, _, _ in ROWS) == EVENTS


def test_the_page_lists_each_field() -> None:
    for method, event, listed in ROWS:
        names = [each.name for each in fields(getattr(sdml_kafka, event)) if each.name != "origin"]
        assert re.findall(r"`(\w+)`", listed) == names
        assert getattr(sdml_kafka.Hook, method).__annotations__["event"].__name__ == event
