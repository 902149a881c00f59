"""How samples become ratios and a table."""

import json
from pathlib import Path
from xml.etree import ElementTree

from attrs import frozen

from benchmarks.__main__ import with_tables
from benchmarks.contest import Column, Figure, as_json, compare, table
from benchmarks.picture import picture


@frozen
class Sample:
    rate: float
    cpu_us: float


SAMPLES = {
    "by hand": [Sample(10, 4), Sample(20, 6), Sample(40, 5)],
    "ours": [Sample(10, 4), Sample(30, 3), Sample(20, 5)],
}
COLUMNS = [Column("CPU", "cpu_us", ratio=True), Column("CPU us", "cpu_us", digits=1, spread=True)]


def test_each_round_is_compared_with_the_reference_of_the_same_round() -> None:
    by_hand, ours = compare("few", SAMPLES, COLUMNS)
    assert by_hand.speed == Figure(1, 1, 1)
    assert ours.speed == Figure(1, 0.5, 1.5)
    assert ours.best == 30 / 40
    assert ours.figures == {"CPU": Figure(1, 0.5, 1), "CPU us": Figure(4, 3, 5)}


def test_the_table_has_a_row_for_each_contestant_under_its_case() -> None:
    lines = table(compare("few", SAMPLES, COLUMNS), COLUMNS).splitlines()
    assert lines[2] == "| **few** |  |  |  |  |"
    assert lines[4] == "| ours | 1.00 (0.50-1.50) | 0.75 | 1.00 | 4.0 (3.0-5.0) |"


def test_results_are_saved_as_json_and_as_a_picture() -> None:
    results = compare("few & <more>", SAMPLES, COLUMNS)
    saved = json.loads(as_json(results, rounds=3))
    assert saved["rounds"] == 3
    assert saved["results"][1]["speed"] == {"median": 1, "lowest": 0.5, "highest": 1.5}
    texts = [element.text for element in ElementTree.fromstring(picture(results)).iter()]
    assert "few & <more>" in texts


def test_saved_tables_replace_those_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "calls.md").write_text("| new |\n")
    calls = "<!-- begin calls -->\n\n| old |\n\n<!-- end -->\n"
    page = f"a\n{calls}b\n<!-- begin reading -->\n<!-- end -->\n"
    renewed = with_tables(page, tmp_path)
    assert renewed == page.replace("| old |", "| new |")
    assert with_tables(renewed, tmp_path) == renewed
