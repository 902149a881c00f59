"""Rules find something to say, or nothing, whatever brokers have answered; they never fail."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdml_kafka.cli.doctor.facts import (
    Clock,
    Contact,
    Facts,
    Failure,
    GroupFacts,
    GroupLook,
    Ours,
)
from sdml_kafka.cli.doctor.report import as_json, as_text
from sdml_kafka.cli.doctor.rules.all_rules import RULES, findings_of
from sdml_kafka.cli.doctor.rules.finding import Severity
from sdml_kafka.transport.inspection.brokers import (
    UNKNOWN_RIGHTS,
    Config,
    Metadata,
    Partition,
    Quorum,
    Topic,
    Versions,
)
from sdml_kafka.transport.inspection.groups import Committed, Coordinator, Group, Member
from sdml_kafka.transport.inspection.logs import Place
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.doctor_facts import BROKER, OURS, TOPIC, contact, topic, well

nodes = st.integers(-1, 3)
node_lists = st.lists(nodes, max_size=3).map(tuple)
codes = st.sampled_from([0, 0, 0, 3, 5, 15, 29, 30, 31, 69, 99, -1])
names = st.sampled_from(["orders", "orders-dlt", "orders-retry-1000", "sdml-rpc-a", "", "\x1b[0m"])
offsets = st.integers(-1, 1 << 62)
words = st.sampled_from(["", "x", "-1", "0", "1", "3", "60000", "9" * 30, "compact,delete", "true"])
rights = st.sampled_from([UNKNOWN_RIGHTS, 0, 8, 24, 0xFFFF])
addresses = st.tuples(st.sampled_from(["a", "b", "localhost", "::1", ""]), st.integers(-1, 70_000))
keys = st.builds(TopicPartition, names, st.integers(0, 2))
places = st.dictionaries(keys, st.builds(Place, codes, offsets, offsets), max_size=4)
failures = st.none() | st.builds(Failure, st.just("it does not answer"), st.booleans())
partitions = st.builds(
    Partition, st.integers(0, 2), codes, nodes, node_lists, node_lists, node_lists
)
topics = st.builds(
    Topic, names, codes, st.booleans(), st.lists(partitions, max_size=3).map(tuple), rights
)
topic_lists = st.lists(topics, max_size=3).map(tuple)
metadata = st.builds(
    Metadata,
    st.sampled_from(["one", "two", None]),
    nodes,
    st.dictionaries(nodes, addresses, max_size=3),
    st.just({}),
    topic_lists,
    rights,
)
versions = st.builds(
    Versions,
    codes,
    st.dictionaries(
        st.integers(0, 99), st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3
    ),
    st.dictionaries(
        st.sampled_from(["group.version", "metadata.version"]), st.integers(-1, 40), max_size=2
    ),
)
settings_of_all = st.dictionaries(st.sampled_from(sorted({**BROKER, **TOPIC})), words, max_size=12)
configs = st.builds(Config, codes, names, settings_of_all)
contacts = st.builds(
    Contact,
    addresses,
    failures,
    st.none() | versions,
    st.none() | metadata,
    st.floats(0, 10),
    st.none() | configs,
)
members = st.builds(
    Member,
    names,
    st.none() | names,
    names,
    names,
    st.none() | st.frozensets(names, max_size=2),
    st.frozensets(keys, max_size=3),
)
groups = st.builds(
    Group,
    codes,
    st.sampled_from(["classic", "consumer"]),
    st.sampled_from(["Stable", "Empty", "Dead", "PreparingRebalance", ""]),
    st.sampled_from(["consumer", "connect", ""]),
    st.sampled_from(["roundrobin", "range", ""]),
    st.lists(members, max_size=3).map(tuple),
    rights,
)
committed = st.builds(Committed, codes, st.dictionaries(keys, offsets, max_size=4))
groups_seen = st.builds(
    GroupFacts,
    names,
    st.none() | st.builds(Coordinator, codes, names, nodes, addresses),
    failures,
    st.lists(st.builds(GroupLook, groups, committed), max_size=2).map(tuple),
    st.just(6.0),
    st.none() | configs,
)
options = st.dictionaries(st.sampled_from(sorted(OURS)), st.integers(0, 1 << 31), max_size=5)
any_facts = st.builds(
    Facts,
    bootstrap=st.lists(contacts, max_size=2).map(tuple),
    brokers=st.dictionaries(nodes, contacts, max_size=3),
    overview=st.none() | metadata,
    wanted=topic_lists,
    rights=st.none() | rights,
    configs=st.dictionaries(names, configs, max_size=3),
    ends=places,
    stable_ends=places,
    beginnings=places,
    latest=places,
    quorum=st.none() | st.builds(Quorum, codes, nodes, st.dictionaries(nodes, offsets, max_size=3)),
    quorum_failure=failures,
    clock=st.none() | st.builds(Clock, st.floats(-1e9, 1e9), st.floats(0, 10)),
    now_ms=st.integers(0, 1 << 45),
    group=st.none() | groups_seen,
    ours=st.builds(Ours, options, options),
)


@given(any_facts)
@settings(max_examples=100)
def test_whatever_was_found_out_is_reported(facts: Facts) -> None:
    findings = findings_of(facts)
    assert [each.severity for each in findings] == sorted(
        (each.severity for each in findings), reverse=True
    )
    for each in findings:
        assert each.severity in Severity
        assert each.about.strip()
        assert each.found.strip()
        assert each.change.strip()
        assert each.code.islower()
    assert len(json.loads(as_json(facts, findings))["findings"]) == len(findings)
    assert as_text(facts, findings).endswith(b"\n")


@pytest.mark.parametrize(
    "number", ["9" * 400, "9" * 5000, "\u0663", "\u00b2"], ids=["long", "longer", "digit", "power"]
)
def test_numbers_that_no_broker_has_are_no_numbers(number: str) -> None:
    of_topic = {**dict.fromkeys(TOPIC, number), "cleanup.policy": "compact,delete"}
    names = "orders", "orders-dlt", "orders-retry-1000"
    facts = well(
        *(topic(name) for name in names),
        configs={name: Config(0, name, of_topic) for name in names},
        brokers={0: contact(0, config=Config(0, "0", dict.fromkeys(BROKER, number)))},
    )
    assert as_text(facts, findings_of(facts)).endswith(b"\n")


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_options_without_an_end_are_no_numbers(number: float) -> None:
    facts = well(ours=Ours(dict.fromkeys(OURS, number), {"max_request_size": number}))
    assert as_text(facts, findings_of(facts)).endswith(b"\n")


def test_a_rule_stands_in_the_list_once() -> None:
    assert len(set(RULES)) == len(RULES)
