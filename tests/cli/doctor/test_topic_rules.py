"""What is found about topics, their settings, and rights."""

import pytest
from attrs import evolve

from sdml_kafka.cli.doctor.rules.all_rules import findings_of
from sdml_kafka.cli.doctor.rules.finding import Severity, duration
from sdml_kafka.cli.doctor.rules.topics import MAX_NEAREST
from sdml_kafka.transport.inspection.brokers import Config
from tests.support.doctor_facts import (
    codes,
    config,
    contact,
    group,
    look,
    metadata,
    partition,
    texts,
    topic,
    well,
)

READ, WRITE, DESCRIBE, CREATE = (1 << number for number in (3, 4, 8, 5))


def test_a_missing_topic_has_a_near_name() -> None:
    missing = topic("order", error=3, partitions=())
    facts = well(topic(), missing, overview=metadata(topic()))
    assert codes(facts) == ["topic-missing"]
    (text,) = texts(facts, "topic-missing")
    assert "there is 'orders'" in text
    assert "auto.create" not in text


def test_near_names_are_looked_for_in_a_bounded_time() -> None:
    missing = [topic(f"order{number}", error=3, partitions=()) for number in range(2 * MAX_NEAREST)]
    found = texts(well(*missing, overview=metadata(topic())), "topic-missing")
    assert len(found) == 2 * MAX_NEAREST
    assert sum("there is 'orders'" in text for text in found) == MAX_NEAREST


def test_a_missing_topic_that_the_brokers_create_is_said_to_be_created() -> None:
    creating = Config(0, "0", {"auto.create.topics.enable": "true"})
    missing = topic("bills", error=3, partitions=())
    facts = well(missing, overview=metadata(), brokers={0: contact(0, config=creating)}, group=None)
    assert "auto.create.topics.enable" in texts(facts, "topic-missing")[0]


@pytest.mark.parametrize(("error", "code"), [(29, "topic-forbidden"), (5, "topic-unknown")])
def test_a_topic_with_an_error(error: int, code: str) -> None:
    facts = well(topic("orders", error=error, partitions=()), overview=metadata(), group=None)
    assert codes(facts) == [code]


def test_a_partition_without_a_leader() -> None:
    lost = topic("orders", partition(0), partition(1, leader=-1, in_sync=(1,)))
    facts = well(lost)
    assert codes(facts) == ["partition-offline"]
    assert "partition 1 without a leader" in texts(facts, "partition-offline")[0]


@pytest.mark.parametrize(
    ("in_sync", "found"),
    [((0, 1, 2), []), ((0, 1), ["under-replicated"]), ((0,), ["too-few-in-sync"])],
)
def test_copies_in_sync(in_sync: tuple[int, ...], found: list[str]) -> None:
    assert codes(well(topic("orders", partition(0, in_sync=in_sync)), group=None)) == found


@pytest.mark.parametrize(
    ("copies", "least", "found"),
    [
        (3, "2", None),
        (3, "1", "min-insync-low"),
        (3, "3", "min-insync-tight"),
        (2, "2", "min-insync-tight"),
        (2, "3", "min-insync-impossible"),
        (1, "1", "one-copy"),
    ],
)
def test_min_insync_replicas_beside_the_copies(copies: int, least: str, found: str | None) -> None:
    nodes = tuple(range(copies))
    each = topic("orders", partition(0, replicas=nodes, in_sync=nodes))
    configs = {"orders": config(min_insync_replicas=least)}
    assert codes(well(each, configs=configs, group=None)) == ([found] if found else [])


def test_one_copy_is_a_note_where_there_is_one_broker() -> None:
    only = topic("orders", partition(0, replicas=(0,), in_sync=(0,)))
    configs = {"orders": config(min_insync_replicas="1")}
    facts = well(only, overview=metadata(only, nodes=1), configs=configs, group=None)
    assert [each.severity for each in findings_of(facts)] == [Severity.NOTE]


def test_a_copy_that_is_behind_may_lead() -> None:
    configs = {"orders": config(unclean_leader_election_enable="true")}
    assert codes(well(configs=configs)) == ["unclean-election"]


def test_other_topics_are_counted() -> None:
    lost = topic("a", partition(0, leader=-1))
    behind = topic("b", partition(0, in_sync=(0, 1)))
    facts = well(overview=metadata(topic(), lost, behind, evolve(behind, name="c")))
    assert codes(facts) == ["others-offline", "others-under-replicated"]
    assert texts(facts, "others-under-replicated")[0].startswith("2 other topics: ")


@pytest.mark.parametrize(
    ("most", "found"),
    [("1048576", None), ("1048588", None), ("1000", "size-smaller"), ("2000000", "size-larger")],
)
def test_sizes_beside_ours(most: str, found: str | None) -> None:
    configs = {"orders": config(max_message_bytes=most)}
    assert codes(well(configs=configs)) == ([found] if found else [])


@pytest.mark.parametrize(
    ("name", "settings", "found"),
    [
        ("orders", {"cleanup.policy": "compact"}, ("compacted", Severity.NOTE)),
        ("orders-dlt", {"cleanup.policy": "compact"}, ("compacted", Severity.ERROR)),
        ("orders.DLQ", {"retention.ms": "3600000"}, ("retention-short", Severity.WARNING)),
        ("orders-dlt", {"retention.ms": "-1"}, None),
        ("orders-retry-60000", {"retention.ms": "60000"}, ("retention-short", Severity.ERROR)),
        ("orders-retry-60000", {}, None),
        ("sdml-rpc-0a1b", {"cleanup.policy": "compact,delete"}, ("compacted", Severity.ERROR)),
        ("sdml-rpc-0a1b", {}, None),
    ],
)
def test_settings_suit_what_a_topic_is_for(
    name: str, settings: dict[str, str], found: tuple[str, Severity] | None
) -> None:
    known = config(name)
    configs = {name: evolve(known, values={**known.values, **settings})}
    facts = well(topic(name), configs=configs, group=None)
    assert [(each.code, each.severity) for each in findings_of(facts)] == ([found] if found else [])


@pytest.mark.parametrize(
    ("rights", "with_group", "found"),
    [
        (READ | WRITE | DESCRIBE, True, []),
        (READ | DESCRIBE, True, [("no-write", Severity.NOTE)]),
        (WRITE | DESCRIBE, False, [("no-read", Severity.NOTE)]),
        (WRITE | DESCRIBE, True, [("no-read", Severity.ERROR)]),
        (DESCRIBE, False, [("no-read", Severity.ERROR)]),
    ],
)
def test_rights_on_a_topic(
    rights: int, with_group: bool, found: list[tuple[str, Severity]]
) -> None:
    facts = well(topic(rights=rights))
    if not with_group:
        facts = evolve(facts, group=None)
    assert [(each.code, each.severity) for each in findings_of(facts)] == found


def test_rights_on_a_group() -> None:
    seen = look(committed={0: 10, 1: 10}, rights=DESCRIBE)
    assert codes(well(group=group(seen))) == ["no-group"]
    forbidden = look(committed={}, error=30)
    assert codes(well(group=group(forbidden))) == ["no-group"]


def test_rights_on_transactional_ids_are_a_note() -> None:
    assert codes(well(group=group(transactions_error=105))) == []
    facts = well(group=group(transactions_error=53))
    assert codes(facts) == ["no-transactions"]
    (text,) = texts(facts, "no-transactions")
    assert "with the prefix 'billing-'" in text


def test_rights_on_the_cluster_and_hidden_settings_are_notes() -> None:
    hidden = Config(29, "orders", {})
    facts = well(rights=DESCRIBE, configs={"orders": hidden})
    assert codes(facts) == ["settings-hidden", "no-create"]
    assert codes(well(rights=CREATE)) == []


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(1500, "1.5 s"), (60_000, "60 s"), (180_000, "3 minutes"), (604_800_000, "7 days")],
)
def test_durations(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
