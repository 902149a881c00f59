"""The picture of `sdml-kafka top` on a small terminal: whole figures, and a sign where it ends."""

import io

import pytest
from rich.console import Console, RenderableType

from sdml_kafka.cli.top.fitting import Fitted
from sdml_kafka.cli.top.history import History
from sdml_kafka.cli.top.picture import picture, sections
from sdml_kafka.observability.document_shape import StatusDocument
from tests.support.status_over_http import busy_listener, status_of


def lines(shown: RenderableType, width: int, height: int = 100) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, record=True, width=width, height=height, color_system=None)
    console.print(shown)
    return [line.rstrip() for line in console.export_text().splitlines()]


def table(shown: list[str], name: str) -> tuple[list[str], list[str]]:
    """Return the heads of the table with this first head, and the cells of its first row."""
    at = next(index for index, line in enumerate(shown) if line.split()[:1] == [name])
    return shown[at].split("  "), shown[at + 1].split()


def whole(document: StatusDocument, width: int) -> list[str]:
    return lines(picture(document, History(), "http://here"), width)


def fitted(document: StatusDocument, height: int) -> list[str]:
    return lines(Fitted(sections(document, History(), "http://here")), 80, height)


def test_at_80_columns_the_figures_of_processors_are_whole() -> None:
    shown = whole(status_of(busy_listener()), 80)
    heads, cells = table(shown, "processor")
    assert [head.strip() for head in heads if head] == [
        *("processor", "run", "queue", "oldest", "99 %", "done", "retry", "fail", "dead")
    ]
    assert cells[0].startswith("charge-cust")
    assert cells[0].endswith("…")
    figures = "128 1,024 51.4 s 12.3 s 7,654,321 4,321 321 4,300"
    assert cells[1:] == figures.split()
    assert max(map(len, shown)) <= 80


def test_at_80_columns_the_figures_of_partitions_are_whole() -> None:
    shown = whole(status_of(busy_listener()), 80)
    heads, cells = table(shown, "topic")
    assert [head.strip() for head in heads if head] == [
        *("topic", "part", "state", "lag", "flight", "oldest", "committed")
    ]
    assert cells[1:] == ["0", "moving", "1,234,567", "1,024", "3,602", "s", "76,543,210"]


def test_with_room_all_columns_have_their_full_heads() -> None:
    shown = whole(status_of(busy_listener()), 140)
    heads, cells = table(shown, "processor")
    assert [head.strip() for head in heads if head.strip()][-2:] == ["failed", "dead letters"]
    assert cells[0] == "charge-customers-for-orders"
    assert "0.0104 s" in " ".join(cells)
    assert table(shown, "topic")[1][-1] == "77,777,777"


@pytest.mark.parametrize("width", [10, 40, 60])
def test_on_a_narrow_terminal_no_line_is_too_long(width: int) -> None:
    shown = whole(status_of(busy_listener()), width)
    assert max(map(len, shown)) <= width
    if width > 10:
        assert "321" in table(shown, "processor")[1]


def test_at_24_rows_the_number_of_the_other_lines_is_shown() -> None:
    document = status_of(busy_listener(rows=20))
    shown, all_of_it = fitted(document, 24), fitted(document, 100)
    assert len(shown) == 24
    assert shown[:-1] == all_of_it[:23]
    assert shown[-1] == f"... {len(all_of_it) - 23} more lines"


def test_what_fits_exactly_has_no_sign() -> None:
    document = status_of(busy_listener())
    height = len(fitted(document, 100))
    assert fitted(document, height) == fitted(document, 100) == whole(document, 80)
    assert fitted(document, height - 1)[-1] == "... 2 more lines"


def test_troubles_of_all_objects_come_before_details_of_the_first_one() -> None:
    second = busy_listener("second", "stuck")
    second["not_taken"] = [
        {
            "topic": "orders",
            "partition": 2,
            "offset": 5,
            "to": "orders.DLT",
            "purpose": "dead letter",
            "why": "TopicMissing",
            "for_s": 12.5,
        }
    ]
    shown = fitted(status_of(busy_listener("third"), busy_listener("first", "away"), second), 14)
    assert len(shown) == 14
    text = "\n".join(shown)
    for words in ("first of group", "! away", "second of group", "! stuck", "! held for", "third"):
        assert words in text
    assert text.index("first of") < text.index("second of") < text.index("third of")
    assert shown[-1].endswith("more lines")


@pytest.mark.parametrize("height", [1, 2, 3])
def test_a_terminal_of_few_rows_is_not_overrun(height: int) -> None:
    shown = fitted(status_of(busy_listener()), height)
    assert len(shown) == height
    assert shown[-1].endswith("more lines")
