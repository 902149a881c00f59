"""Requests about brokers, groups and logs, and their answers, are as Kafka has them."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.inspection import brokers, groups, logs, transactions, wire
from sdml_kafka.transport.inspection.brokers import Config, Metadata, Partition, Quorum, Topic
from sdml_kafka.transport.inspection.groups import Group, Member
from sdml_kafka.transport.inspection.logs import Place
from sdml_kafka.transport.inspection.wire import Answer, MalformedAnswer
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support import written_answers as written

ADDRESSES = {1: ("a", 9092), 2: ("::1", 9093)}
ORDERS = frozenset({TopicPartition("orders", 0), TopicPartition("orders", 2)})

Read = Callable[[bytes], object]
ANSWERS: dict[str, tuple[Read, bytes]] = {
    "versions": (brokers.read_versions, written.versions(features={"group.version": 1})),
    "metadata": (
        brokers.read_metadata,
        written.metadata(ADDRESSES, written.topic("t", written.partition(3, 1, [1, 2], [1]))),
    ),
    "configs": (brokers.read_configs, written.configs({"t": {"a": "1", "b": None}})),
    "quorum": (brokers.read_quorum, written.quorum(1, {1: 1000, 2: 900})),
    "coordinator": (groups.read_coordinator, written.coordinator(1, ADDRESSES[1])),
    "classic group": (
        groups.read_classic_group,
        written.classic_group(
            "g",
            "Stable",
            written.classic_member(
                "m", written.subscription("orders"), written.assignment("orders", 0, 2)
            ),
        ),
    ),
    "consumer group": (
        groups.read_consumer_group,
        written.consumer_group("g", "Stable", written.consumer_member("m", "orders", 0, 2)),
    ),
    "committed": (groups.read_committed, written.committed("orders", {0: 5, 1: -1})),
    "transaction": (transactions.read_transaction_error, written.transaction("g-0")),
    "offsets": (logs.read_offsets, written.offsets("orders", {0: 5})),
}


def test_versions_and_features() -> None:
    data = written.versions({3: (0, 13), 18: (0, 4)}, {"group.version": 1})
    found = brokers.read_versions(data)
    assert found.apis == {3: (0, 13), 18: (0, 4)}
    assert found.features == {"group.version": 1}


def test_a_broker_that_is_too_old_says_so_in_an_older_answer() -> None:
    assert brokers.read_versions(b"\0\x23").error == 35


def test_metadata() -> None:
    read, data = ANSWERS["metadata"]
    partition = Partition(3, 0, 1, (1, 2), (1,), ())
    topic = Topic("t", 0, False, (partition,), brokers.UNKNOWN_RIGHTS)
    racks = {1: None, 2: None}
    expected = Metadata("cluster", 0, ADDRESSES, racks, (topic,), brokers.UNKNOWN_RIGHTS)
    assert read(data) == expected


def test_settings_that_are_secret_or_not_set_are_left_out() -> None:
    data = written.configs({"t": {"a": "1", "password": "x", "c": None}}, secrets=["password"])
    assert brokers.read_configs(data) == (Config(0, "t", {"a": "1"}),)


def test_the_quorum_has_the_clock_of_the_active_controller() -> None:
    found = brokers.read_quorum(ANSWERS["quorum"][1])
    assert found == Quorum(0, 1, {1: 1000, 2: 900})
    assert found.now_ms == 1000
    assert Quorum(0, 3, {1: 1000}).now_ms is None
    assert brokers.read_quorum(written.behind_header(written.int16(31), wire.array([], bytes))) == (
        Quorum(31, -1, {})
    )


@pytest.mark.parametrize(
    ("answer", "kind", "assignor"),
    [("classic group", "classic", "range"), ("consumer group", "consumer", "uniform")],
)
def test_groups_of_both_protocols(answer: str, kind: groups.Kind, assignor: str) -> None:
    read, data = ANSWERS[answer]
    member = Member("m", None, "app", "/10.0.0.1", frozenset({"orders"}), ORDERS)
    assert read(data) == Group(0, kind, "Stable", "consumer", assignor, (member,), 8)


def test_a_member_that_subscribes_by_a_pattern_or_writes_something_else() -> None:
    member = written.consumer_member("m", "orders", 0, pattern="ord.*")
    (found,) = groups.read_consumer_group(written.consumer_group("g", "Stable", member)).members
    assert found.topics is None
    member = written.classic_member("m", b"\xff", b"\0\0\0")
    (found,) = groups.read_classic_group(written.classic_group("g", "Stable", member)).members
    assert (found.topics, found.partitions) == (None, frozenset())


def test_what_is_not_committed_is_left_out() -> None:
    found = groups.read_committed(ANSWERS["committed"][1])
    assert found.offsets == {TopicPartition("orders", 0): 5}


def test_places_in_logs() -> None:
    expected = {TopicPartition("orders", 0): Place(0, 5, -1)}
    assert logs.read_offsets(ANSWERS["offsets"][1]) == expected


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_ends_too_early_is_malformed(name: str) -> None:
    read, data = ANSWERS[name]
    for end in range(len(data) - 1):  # behind which there may be further fields
        with pytest.raises(MalformedAnswer):
            read(data[:end])


@given(st.sampled_from(sorted(ANSWERS)), st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(name: str, data: bytes) -> None:
    read, _ = ANSWERS[name]
    with suppress(MalformedAnswer):
        read(data)


@given(st.sampled_from(sorted(ANSWERS)), st.integers(0, 400), st.binary(min_size=1, max_size=6))
def test_an_answer_with_other_bytes_within_is_read_or_malformed(
    name: str, at: int, other: bytes
) -> None:
    read, data = ANSWERS[name]
    with suppress(MalformedAnswer):
        read(data[:at] + other + data[at + len(other) :])


@given(st.integers(0, (1 << 32) - 1))
def test_numbers_of_any_length(value: int) -> None:
    assert Answer(wire.varint(value)).varint() == value


def test_a_number_without_an_end_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        Answer(b"\xff" * 20).varint()


def test_an_array_that_claims_more_items_than_there_are_bytes_is_malformed() -> None:
    with pytest.raises(MalformedAnswer):
        Answer(wire.varint(1 << 31) + b"\0\0").array(Answer.int8)


def test_requests_are_in_versions_that_old_brokers_know() -> None:
    """Kafka 2.4 to 4.4, but for what came later: `requests` names what needs more."""
    requests = {
        brokers.versions_request(): (18, 3),
        brokers.metadata_request(None): (3, 9),
        brokers.configs_request(brokers.TOPIC, ["t"]): (32, 4),
        brokers.quorum_request(): (55, 1),
        groups.coordinator_request("g"): (10, 3),
        groups.classic_group_request("g"): (15, 5),
        groups.consumer_group_request("g"): (69, 0),
        groups.committed_request("g"): (9, 6),
        transactions.transaction_request("g-0"): (65, 0),
        logs.offsets_request(ORDERS, logs.END): (2, 7),
    }
    for request, (key, version) in requests.items():
        assert (request.api_key, request.version) == (key, version)
