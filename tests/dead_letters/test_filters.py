"""Which dead letters filters admit, and the group of a replay."""

import pytest

from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.letter import Letter, read_letter
from tests.support.dead_letters import Broken, failure_headers
from tests.support.records import make_record


def letter() -> Letter:
    error = Broken("no stock")
    error.__cause__ = OSError()
    headers = list(failure_headers("orders", error=error))
    return read_letter(make_record("orders-dlt", 1, headers=headers, timestamp_ms=1_000))


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(partitions=frozenset({1, 2})),
        Filters(from_topics=frozenset({"orders"})),
        Filters(exceptions=frozenset({"Broken"})),
        Filters(exceptions=frozenset({"tests.support.dead_letters.Broken", "x"})),
        Filters(exceptions=frozenset({"OSError"})),
        Filters(since_ms=1_000, until_ms=1_001),
    ],
)
def test_admitted(filters: Filters) -> None:
    assert filters.admit(letter())


@pytest.mark.parametrize(
    "filters",
    [
        Filters(partitions=frozenset({0})),
        Filters(from_topics=frozenset({"orders-dlt"})),
        Filters(exceptions=frozenset({"Broke"})),
        Filters(since_ms=1_001),
        Filters(until_ms=1_000),
        Filters(partitions=frozenset({1}), from_topics=frozenset({"bills"})),
    ],
)
def test_not_admitted(filters: Filters) -> None:
    assert not filters.admit(letter())
    assert not filters.admit(read_letter(make_record())) or not filters.from_topics


def test_each_choice_has_a_group_of_its_own() -> None:
    one = Filters(partitions=frozenset({2, 1}), exceptions=frozenset({"A", "B"}))
    same = Filters(partitions=frozenset({1, 2}), exceptions=frozenset({"B", "A"}))
    assert one.group_for("orders-dlt", None) == same.group_for("orders-dlt", None)
    assert one.group_for("orders-dlt", None).startswith("sdml-kafka-replay-orders-dlt-")
    groups = [
        one.group_for("orders-dlt", None),
        one.group_for("orders-dlt", "orders"),
        one.group_for("bills-dlt", None),
        Filters().group_for("orders-dlt", None),
        Filters(since_ms=5).group_for("orders-dlt", None),
        Filters(until_ms=5).group_for("orders-dlt", None),
        Filters(from_topics=frozenset({"A", "B"})).group_for("orders-dlt", None),
    ]
    assert len(set(groups)) == len(groups)
