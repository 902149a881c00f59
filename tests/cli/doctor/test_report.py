"""How findings are written down; nothing from the wire acts on a terminal."""

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.doctor.facts import Facts, Failure
from sdml_kafka.cli.doctor.report import MAX_TEXT, as_json, as_text, exit_code
from sdml_kafka.cli.doctor.rules.all_rules import findings_of
from sdml_kafka.cli.doctor.rules.finding import Finding, Severity, some
from sdml_kafka.cli.doctor.summary import MAX_MEMBERS, release_of
from tests.support.doctor_facts import (
    contact,
    group,
    look,
    member,
    metadata,
    silent,
    topic,
    well,
)


def finding(severity: Severity, text: str = "text") -> Finding:
    return Finding(severity, "code", "topic t", text, "change it")


@pytest.mark.parametrize(
    ("severities", "code"),
    [
        ([], 0),
        ([Severity.NOTE], 0),
        ([Severity.NOTE, Severity.WARNING], 3),
        ([Severity.WARNING, Severity.ERROR], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst(severities: list[Severity], code: int) -> None:
    assert exit_code([finding(each) for each in severities]) == code


def test_a_report_for_people() -> None:
    facts = well(group=group(look(member("a", 0), member("b", 1), committed={0: 3, 1: 10})))
    lines = as_text(facts, findings_of(facts)).decode().splitlines()
    assert lines[:4] == [
        "cluster  cluster, controller 0, groups of KIP-848, transactions v2",
        "broker   0 at kafka-0.example.com:9092 answers in 10 ms",
        "broker   1 at kafka-1.example.com:9092 answers in 10 ms",
        "broker   2 at kafka-2.example.com:9092 answers in 10 ms",
    ]
    assert "clock    the controller's is 0.010 s ahead of ours, give or take 0.005 s" in lines
    assert (
        "group    billing: Stable, 2 members, classic protocol, roundrobin, 7 records behind"
        in lines
    )
    assert lines[-1] == "0 errors, 0 warnings, 1 note"
    assert lines[-4].startswith("NOTE     group billing: 7 records yet to read in 1 partition: ")
    assert lines[-3].startswith("         -> ")
    assert lines[-3].endswith(" [lag]")


def test_a_report_for_programs() -> None:
    facts = well(group=group(look(committed={0: 3, 1: 10})))
    document = json.loads(as_json(facts, findings_of(facts)))
    assert list(document) == [
        "schema",
        "cluster",
        "bootstrap",
        "brokers",
        "clock",
        "topics",
        "group",
        "findings",
        "counts",
        "exit_code",
    ]
    assert document["schema"] == 1
    assert document["counts"] == {"error": 0, "warning": 1, "note": 1}
    assert document["exit_code"] == 3
    assert [each["code"] for each in document["findings"]] == ["nobody-reads", "lag"]
    assert set(document["findings"][0]) == {"severity", "code", "about", "found", "change"}
    assert document["group"]["lag_of"] == [["orders", 0, 7]]
    assert document["brokers"][1] == {
        "node": 1,
        "address": "kafka-1.example.com:9092",
        "answers": True,
        "reason": None,
        "milliseconds": 10.0,
    }


def test_nothing_was_found_out() -> None:
    facts = Facts(bootstrap=(silent(0),))
    document = json.loads(as_json(facts, findings_of(facts)))
    assert document["cluster"] is document["clock"] is document["group"] is None
    assert document["bootstrap"][0]["reason"] == "it does not answer"
    assert as_text(facts, findings_of(facts)).decode().endswith("1 error, 0 warnings, 0 notes\n")


@given(st.text(min_size=1, max_size=20))
def test_nothing_from_the_wire_acts_on_a_terminal(text: str) -> None:
    text = f"\x1b[2J\x7f\u202e{text}"
    seen = look(member(text, 0, topics=frozenset({text})), committed={0: 1}, assignor=text)
    address = (text, 1)
    facts = well(
        topic(text, error=3, partitions=()),
        topic(),
        overview=metadata(topic(), cluster_id=text),
        group=group(seen, name=text),
        bootstrap=(evolve(contact(0), address=address), silent(1, text)),
        brokers={
            0: evolve(contact(0), address=address),
            1: evolve(silent(1), failure=Failure(text)),
        },
    )
    findings = findings_of(facts)
    for written in (as_text(facts, findings), as_json(facts, findings)):
        assert all(0x20 <= byte < 0x7F for byte in written.replace(b"\n", b""))
    assert as_json(facts, findings).count(b"\n") == 1


def test_texts_and_lists_from_the_wire_are_bounded() -> None:
    members = [member(f"m{number}") for number in range(1000)]
    facts = well(topic("x" * 100_000, error=3, partitions=()), group=group(look(*members)))
    document = json.loads(as_json(facts, findings_of(facts)))
    assert document["group"]["members"] == 1000
    assert len(document["group"]["member_list"]) == MAX_MEMBERS
    assert max(len(each["about"]) for each in document["findings"]) <= MAX_TEXT
    text = as_text(facts, findings_of(facts)).decode()
    assert max(map(len, text.splitlines())) <= MAX_TEXT
    assert "and 995 more" in text


def test_some_of_many() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([str(number) for number in range(7)], 3) == "0, 1, 2 and 4 more"


@pytest.mark.parametrize(
    ("level", "release"),
    [(33, "4.4"), (30, "4.3"), (22, "4.0"), (21, "3.9"), (99, None), (0, None)],
)
def test_the_release_by_its_features(level: int, release: str | None) -> None:
    assert release_of({"metadata.version": level}) == release
