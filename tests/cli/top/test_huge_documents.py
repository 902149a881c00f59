"""Too much of a document is counted, and not shown."""

import io
import json

import pytest
from rich.console import Console

from sdml_kafka.cli.top import fetching, picture
from sdml_kafka.cli.top.history import History
from sdml_kafka.observability.document_shape import ActorDocument, ObjectDocument, PartDocument
from tests.support.status_over_http import busy_listener, status_of

pytestmark = pytest.mark.timeout(60)


def lines(*objects: ObjectDocument) -> list[str]:
    body = json.dumps(status_of(*objects)).encode()
    document, history, out = fetching.read("http://here", body), History(), io.StringIO()
    history.note(document)
    console = Console(file=out, width=140, color_system=None)
    console.print(picture.picture(document, history, "http://here"))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_objects() -> None:
    shown = lines(*(busy_listener(f"listener {number}", rows=1) for number in range(200)))
    assert shown[-1] == "and 150 more objects"
    assert sum(line.startswith("listener ") for line in shown) == picture.MAX_OBJECTS


def test_actors_counters_and_parts_in_trouble() -> None:
    each = busy_listener(state="failed")
    leaf: ActorDocument = {**each["tree"], "name": "leaf"}
    each["tree"]["children"] = [leaf] * 3000
    each["counters"] = {f"errors.{number}": 1 for number in range(3000)}
    part: PartDocument = {
        "kind": "topic",
        "name": "orders",
        "state": "topic missing",
        "ok": False,
        "reason": "it does not exist",
        "since_s": None,
    }
    each["health"]["parts"] = [part] * 3000
    shown = lines(each)
    assert "  and 2,901 more actors" in shown
    assert "  and 2,980 more in trouble" in shown
    assert "and 2,950 more counters" in " ".join(map(str.strip, shown))
    assert len(shown) < 200


def test_texts() -> None:
    each = busy_listener()
    each["health"]["reason"] = "x" * 10_000_000
    assert sum(map(len, lines(each))) < 10_000
