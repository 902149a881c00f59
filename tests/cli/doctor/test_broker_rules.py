"""What is found about brokers, controllers and clocks."""

import pytest
from attrs import evolve

from sdml_kafka.cli.doctor.facts import Clock, Facts, Failure
from sdml_kafka.cli.doctor.rules.all_rules import findings_of
from sdml_kafka.cli.doctor.rules.finding import Severity
from sdml_kafka.transport.inspection.brokers import Quorum, Versions
from sdml_kafka.transport.inspection.logs import Place
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.doctor_facts import (
    NOW_MS,
    address,
    codes,
    contact,
    metadata,
    partition,
    places,
    silent,
    texts,
    topic,
    well,
)


def severity(facts: Facts, code: str) -> Severity:
    return max(each.severity for each in findings_of(facts) if each.code == code)


def test_nothing_is_wrong_with_a_kafka_that_is_well() -> None:
    assert codes(well()) == []


def test_without_any_broker_each_address_is_an_error_and_nothing_else_is_said() -> None:
    facts = Facts(bootstrap=(silent(0), silent(1, "its name does not resolve")))
    assert codes(facts) == ["bootstrap-unreachable"] * 2
    assert severity(facts, "bootstrap-unreachable") is Severity.ERROR
    assert "kafka-1.example.com:9092: its name does not resolve" in texts(facts, codes(facts)[0])[1]


def test_one_address_of_several_is_a_warning() -> None:
    elsewhere = evolve(silent(0), address=("elsewhere", 1))
    facts = well(bootstrap=(contact(0), elsewhere))
    assert codes(facts) == ["bootstrap-unreachable"]
    assert severity(facts, "bootstrap-unreachable") is Severity.WARNING


def test_credentials_that_are_refused_are_an_error_of_their_own() -> None:
    facts = Facts(bootstrap=(silent(0, "the broker refused", is_credentials=True),))
    assert codes(facts) == ["credentials-refused"]
    assert "sasl_mechanism" in texts(facts, "credentials-refused")[0]


def test_an_advertised_address_that_cannot_be_reached_names_the_setting() -> None:
    facts = well(brokers={0: contact(0), 1: silent(1), 2: contact(2)})
    assert codes(facts) == ["advertised-unreachable"]
    (text,) = texts(facts, "advertised-unreachable")
    assert "broker 1 at kafka-1.example.com:9092" in text
    assert "advertised.listeners" in text


def test_a_broker_at_an_address_that_was_given_is_found_once() -> None:
    facts = well(bootstrap=(contact(0), silent(1)), brokers={0: contact(0), 1: silent(1)})
    assert codes(facts) == ["broker-unreachable"]


def test_an_address_that_means_each_clients_own_machine() -> None:
    own = contact(1, address=("localhost", 9092))
    assert codes(well(brokers={0: contact(0), 1: own})) == ["advertised-loopback"]
    here = (contact(0, address=("127.0.0.1", 9092)),)
    assert codes(well(bootstrap=here, brokers={0: contact(0), 1: own})) == []


def test_brokers_that_share_an_address() -> None:
    facts = well(brokers={0: contact(0), 1: contact(1, address=address(0))})
    assert codes(facts) == ["address-shared"]


def test_addresses_of_two_clusters() -> None:
    other = contact(1, metadata=metadata(cluster_id="other"))
    assert codes(well(bootstrap=(contact(0), other), brokers={0: contact(0)})) == ["two-clusters"]


def test_brokers_that_see_different_brokers() -> None:
    lonely = contact(1, metadata=metadata(nodes=2))
    facts = well(brokers={0: contact(0), 1: lonely, 2: contact(2)})
    assert codes(facts) == ["brokers-disagree"]


def test_a_broker_that_is_away_with_copies() -> None:
    behind = topic("orders", partition(0, in_sync=(0, 1)))
    facts = well(behind, overview=metadata(behind, nodes=2), group=None)
    assert codes(facts) == ["broker-away", "under-replicated"]
    assert (
        "broker 2: it is not in the cluster, and has a copy of 1" in texts(facts, "broker-away")[0]
    )


def test_a_cluster_whose_brokers_do_not_serve_yet() -> None:
    starting = contact(0, metadata=metadata(nodes=0))
    facts = well(
        bootstrap=(starting,), brokers={}, overview=metadata(nodes=0), wanted=(), group=None
    )
    assert codes(facts) == ["no-brokers"]


def test_a_broker_that_stops_answering() -> None:
    facts = well(brokers={0: contact(0, failure=Failure("it takes connections"))})
    assert codes(facts) == ["broker-stopped"]


def test_a_slow_broker() -> None:
    assert codes(well(brokers={0: contact(0, seconds=0.7)})) == ["broker-slow"]


def test_no_controller() -> None:
    assert codes(well(overview=metadata(topic(), controller=-1))) == ["no-controller"]
    facts = well(quorum=None, clock=None, quorum_failure=Failure("it does not answer"))
    assert codes(facts) == ["no-controller"]


@pytest.mark.parametrize(
    ("caught_up_ms", "found"), [(NOW_MS - 9000, 0), (NOW_MS - 11_000, 1), (-1, 1)]
)
def test_a_controller_that_does_not_follow(caught_up_ms: int, found: int) -> None:
    quorum = Quorum(0, 0, {0: NOW_MS, 1: NOW_MS, 2: caught_up_ms})
    assert codes(well(quorum=quorum)) == ["controller-behind"] * found


def test_versions_are_notes() -> None:
    old = contact(0, versions=Versions(0, {3: (0, 12)}, {}))
    facts = well(bootstrap=(old,), brokers={0: old, 1: contact(1)})
    assert codes(facts) == ["mixed-versions", "no-new-groups", "old-transactions"]
    assert {each.severity for each in findings_of(facts)} == {Severity.NOTE}


@pytest.mark.parametrize(
    ("ahead_s", "found"),
    [
        (0.9, None),
        (-1.4, None),
        (1.6, Severity.WARNING),
        (-59.0, Severity.WARNING),
        (90, Severity.ERROR),
    ],
)
def test_the_clocks_may_differ_by_a_second_beside_what_is_not_known(
    ahead_s: float, found: Severity | None
) -> None:
    facts = well(clock=Clock(ahead_s, 0.5))
    assert [each.severity for each in findings_of(facts)] == ([] if found is None else [found])


def test_a_clock_that_is_behind_is_said_to_be() -> None:
    (text,) = texts(well(clock=Clock(-120.0, 0.01)), "clock-difference")
    assert "120.0 s behind this machine's" in text


def test_a_clock_that_cannot_be_compared_is_a_note() -> None:
    facts = well(clock=None, quorum=None)
    assert codes(facts) == ["clock-unknown"]
    assert severity(facts, "clock-unknown") is Severity.NOTE


def test_records_from_the_future_are_measured_by_the_brokers_clock() -> None:
    key = TopicPartition("orders", 0)
    latest = {key: Place(0, 5, NOW_MS + 120_000)}
    assert codes(well(latest=latest)) == ["records-from-the-future"]
    ahead = well(latest=latest, clock=Clock(100.0, 0.1))
    assert codes(ahead) == ["clock-difference"]
    assert codes(well(latest=places(p0=3))) == []
