"""What is found about groups and time-outs."""

from typing import Any

import pytest
from attrs import evolve

from sdml_kafka.cli.doctor.facts import Failure, Ours
from sdml_kafka.cli.doctor.lag import lag_of, unknown_lag
from sdml_kafka.transport.inspection.brokers import Config
from sdml_kafka.transport.inspection.groups import Coordinator
from sdml_kafka.transport.inspection.logs import Place
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.doctor_facts import (
    BROKER,
    OURS,
    address,
    codes,
    config,
    contact,
    group,
    look,
    member,
    places,
    texts,
    topic,
    well,
)

A, B = member("a", 0), member("b", 1)


def test_a_coordinator_that_is_not_there_or_does_not_answer() -> None:
    assert codes(well(group=group(looks=(), coordinator=None))) == ["no-coordinator"]
    missing = Coordinator(15, "", -1, ("", -1))
    facts = well(group=group(looks=(), coordinator=missing))
    assert codes(facts) == ["no-coordinator"]
    assert "__consumer_offsets" in texts(facts, "no-coordinator")[0]
    silent = group(looks=(), failure=Failure("it takes connections, and does not answer"))
    facts = well(group=silent)
    assert codes(facts) == ["coordinator-unreachable"]
    assert "broker 1 at kafka-1.example.com:9092: it takes" in texts(facts, codes(facts)[0])[0]


def test_a_group_that_does_not_exist() -> None:
    assert codes(well(group=group(look(error=69, state="Dead")))) == ["group-missing"]


def test_nobody_reads_what_there_is() -> None:
    facts = well(group=group(look(committed={0: 10, 1: 10})))
    assert codes(facts) == []
    facts = well(group=group(look(committed={0: 4, 1: 10})))
    assert codes(facts) == ["nobody-reads", "lag"]
    assert "6 records" in texts(facts, "nobody-reads")[0]


def test_a_group_that_does_not_come_to_rest() -> None:
    busy = look(A, B, committed={0: 10, 1: 10}, state="PreparingRebalance")
    assert codes(well(group=group(busy))) == []
    assert codes(well(group=group(busy, busy))) == ["rebalancing"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"assignor": "range"}, ["assignors-differ"]),
        ({"assignor": "range", "state": "PreparingRebalance"}, ["assignors-differ"]),
        ({"assignor": ""}, []),
        ({"protocol_type": "connect"}, ["other-protocol"]),
        ({"kind": "consumer", "assignor": "uniform"}, []),
    ],
)
def test_what_keeps_a_listener_of_ours_out(changes: dict[str, Any], found: list[str]) -> None:
    seen = look(A, B, committed={0: 10, 1: 10}, **changes)
    assert codes(well(group=group(seen))) == found


def test_a_group_of_kip_848_that_lets_no_classic_member_in() -> None:
    settings = {**BROKER, "group.consumer.migration.policy": "disabled"}
    brokers = {0: contact(0, config=Config(0, "0", settings))}
    seen = look(A, B, committed={0: 10, 1: 10}, kind="consumer")
    assert codes(well(brokers=brokers, group=group(seen))) == ["migration-disabled"]


def test_members_that_want_different_topics() -> None:
    other = evolve(B, topics=frozenset({"bills"}))
    facts = well(group=group(look(A, other, committed={0: 10, 1: 10})))
    assert codes(facts) == ["topics-differ"]
    assert "1 wants orders" in texts(facts, "topics-differ")[0]


def test_a_full_group() -> None:
    brokers = {0: contact(0, config=Config(0, "0", {**BROKER, "group.max.size": "2"}))}
    assert codes(well(brokers=brokers)) == ["group-full"]


def test_members_without_partitions_and_partitions_without_members() -> None:
    all_of_it = member("a", 0, 1)
    facts = well(group=group(look(all_of_it, member("b"), committed={0: 10, 1: 10})))
    assert codes(facts) == ["idle-members"]
    assert "1 of 2 members" in texts(facts, "idle-members")[0]
    facts = well(group=group(look(A, committed={0: 10, 1: 10})))
    assert codes(facts) == ["nobody-has"]
    assert "orders 1" in texts(facts, "nobody-has")[0]


def test_members_that_wait_for_a_topic_that_is_missing_are_not_said_to_lack_partitions() -> None:
    waiting = member("a", topics=frozenset({"bills"}))
    missing = topic("bills", error=3, partitions=())
    seen = group(look(waiting, committed={0: 10, 1: 10}))
    assert codes(well(topic(), missing, group=seen, configs={})) == ["topic-missing"]


def test_commits_outside_of_the_log() -> None:
    seen = group(look(A, B, committed={0: 2, 1: 10}))
    facts = well(group=seen, beginnings=places(p0=5, p1=0))
    assert codes(facts) == ["records-lost", "lag"]
    assert "3 records were deleted" in texts(facts, "records-lost")[0]
    facts = well(group=group(look(A, B, committed={0: 12, 1: 10})))
    assert codes(facts) == ["commit-beyond-end"]


def test_an_open_transaction_holds_up_those_who_have_come_to_it() -> None:
    stable = places(p0=10, p1=8)
    assert codes(well(stable_ends=stable, ends=places(p0=10, p1=12))) == ["open-transaction", "lag"]
    far_behind = group(look(A, B, committed={0: 10, 1: 3}))
    assert codes(well(stable_ends=stable, group=far_behind)) == ["lag"]


def test_a_member_that_commits_nothing_though_records_wait() -> None:
    first, second = ({0: 4, 1: 5}, {0: 4, 1: 6})
    looks = (look(A, B, committed=first), look(A, B, committed=second))
    facts = well(group=group(*looks))
    assert codes(facts) == ["no-progress", "lag"]
    (text,) = texts(facts, "no-progress")
    assert "member app@10.0.0.1 (a)" in text
    assert "orders 0 at 4" in text
    assert "nothing for 6 s" in text


@pytest.mark.parametrize("name", ["orders-retry-60000", "orders-retry-0", "orders-retry"])
def test_records_of_a_retry_topic_wait_on_purpose(name: str) -> None:
    key = TopicPartition(name, 0)
    holder = evolve(A, partitions=A.partitions | {key}, topics=frozenset({"orders", name}))
    seen = look(holder, evolve(B, topics=holder.topics), committed={0: 10, 1: 10})
    offsets = {**seen.committed.offsets, key: 4}
    seen = evolve(seen, committed=evolve(seen.committed, offsets=offsets))
    facts = well(group=group(seen, seen), ends={**places(p0=10, p1=10), key: Place(0, 6, -1)})
    assert codes(facts) == ["lag"]
    assert "2 in retry topics, where they wait until they are due" in texts(facts, "lag")[0]


def test_lag_of_partitions_whose_leader_is_away_is_not_known() -> None:
    facts = well(ends=places(p0=12))
    assert {key.partition: count for key, count in lag_of(facts).items()} == {0: 2}
    assert [key.partition for key in unknown_lag(facts)] == [1]


@pytest.mark.parametrize(
    ("option", "value", "found"),
    [
        ("session_timeout_ms", 5000, ["session-refused", "heartbeats-few"]),
        ("heartbeat_interval_ms", 4000, ["heartbeats-few"]),
        ("heartbeat_interval_ms", 10_000, ["heartbeats-refused"]),
        ("max_poll_interval_ms", 9000, ["polls-shorter-than-session"]),
        ("rebalance_timeout_ms", 9000, ["drain-short"]),
        ("connections_max_idle_ms", 700_000, ["idle-connections"]),
        ("request_timeout_ms", 300, ["requests-short"]),
        ("request_timeout_ms", 250, ["requests-refused"]),
        ("transaction_timeout_ms", 1_000_000, ["transactions-refused"]),
    ],
)
def test_time_outs_that_contradict_each_other(option: str, value: int, found: list[str]) -> None:
    assert codes(well(ours=Ours({**OURS, option: value}))) == found


def test_the_session_of_a_group_of_kip_848_is_the_brokers() -> None:
    own = Config(
        0,
        "billing",
        {"consumer.session.timeout.ms": "9000", "consumer.heartbeat.interval.ms": "4000"},
    )
    seen = look(A, B, committed={0: 10, 1: 10}, kind="consumer")
    assert codes(well(group=group(seen))) == []
    assert codes(well(group=group(seen, config=own))) == ["heartbeats-few"]


@pytest.mark.parametrize(("retention", "found"), [("604800000", 0), ("1209600000", 1), ("-1", 1)])
def test_a_topic_that_outlives_what_a_group_has_committed(retention: str, found: int) -> None:
    configs = {"orders": config(retention_ms=retention)}
    assert codes(well(configs=configs)) == ["offsets-expire"] * found


def test_addresses_of_ipv6_have_brackets() -> None:
    silent = Coordinator(0, "", 1, ("::1", 9092))
    facts = well(group=group(looks=(), coordinator=silent))
    assert "[::1]:9092" in texts(facts, "coordinator-unreachable")[0]
    assert address(0) == ("kafka-0.example.com", 9092)
