"""Facts of a Kafka that is well, for tests of the doctor's rules to change."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from sdml_kafka.cli.doctor.facts import (
    Clock,
    Contact,
    Facts,
    Failure,
    GroupFacts,
    GroupLook,
    Ours,
)
from sdml_kafka.cli.doctor.rules.all_rules import findings_of
from sdml_kafka.transport.inspection.brokers import (
    UNKNOWN_RIGHTS,
    Config,
    Metadata,
    Partition,
    Quorum,
    Topic,
    Versions,
)
from sdml_kafka.transport.inspection.groups import Committed, Coordinator, Group, Kind, Member
from sdml_kafka.transport.inspection.logs import Place
from sdml_kafka.transport.interfaces.inspection import Address
from sdml_kafka.transport.interfaces.records import TopicPartition

NOW_MS = 1_800_000_000_000
SPOKEN = Versions(0, {3: (0, 13)}, {"group.version": 1, "transaction.version": 2})
BROKER = {
    "auto.create.topics.enable": "false",
    "connections.max.idle.ms": "600000",
    "group.consumer.heartbeat.interval.ms": "5000",
    "group.consumer.migration.policy": "bidirectional",
    "group.consumer.session.timeout.ms": "45000",
    "group.max.session.timeout.ms": "1800000",
    "group.max.size": "2147483647",
    "group.min.session.timeout.ms": "6000",
    "offsets.retention.minutes": "10080",
    "transaction.max.timeout.ms": "900000",
}
TOPIC = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "2",
    "retention.ms": "604800000",
    "unclean.leader.election.enable": "false",
}
OURS = {
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 3000,
    "rebalance_timeout_ms": 30_000,
    "max_poll_interval_ms": 300_000,
    "connections_max_idle_ms": 180_000,
    "fetch_max_wait_ms": 250,
    "request_timeout_ms": 15_000,
}


def address(node: int) -> Address:
    return f"kafka-{node}.example.com", 9092


def partition(number: int, leader: int = 0, **changes: Any) -> Partition:
    return evolve(Partition(number, 0, leader, (0, 1, 2), (0, 1, 2), ()), **changes)


def topic(name: str = "orders", *partitions: Partition, **changes: Any) -> Topic:
    known = partitions or (partition(0), partition(1, 1))
    return evolve(Topic(name, 0, False, known, UNKNOWN_RIGHTS), **changes)


def metadata(*topics: Topic, nodes: int = 3, **changes: Any) -> Metadata:
    addresses = {node: address(node) for node in range(nodes)}
    seen = Metadata("cluster", 0, addresses, dict.fromkeys(addresses), topics, UNKNOWN_RIGHTS)
    return evolve(seen, **changes)


def contact(node: int, **changes: Any) -> Contact:
    config = Config(0, str(node), BROKER)
    return evolve(Contact(address(node), None, SPOKEN, metadata(), 0.01, config), **changes)


def silent(node: int, reason: str = "it does not answer", **changes: Any) -> Contact:
    return Contact(address(node), Failure(reason, **changes))


def config(name: str = "orders", **settings: str) -> Config:
    given = {key.replace("_", "."): value for key, value in settings.items()}
    return Config(0, name, {**TOPIC, **given})


def member(id_: str, *numbers: int, topics: frozenset[str] | None = None) -> Member:
    keys = frozenset(TopicPartition("orders", number) for number in numbers)
    return Member(id_, None, "app", "/10.0.0.1", topics or frozenset({"orders"}), keys)


def look(
    *members: Member,
    committed: Mapping[int, int] | None = None,
    kind: Kind = "classic",
    **changes: Any,
) -> GroupLook:
    offsets = {TopicPartition("orders", n): at for n, at in (committed or {}).items()}
    state = "Stable" if members else "Empty"
    assignor = "roundrobin" if kind == "classic" else "uniform"
    group = Group(0, kind, state, "consumer", assignor, members)
    return GroupLook(evolve(group, **changes), Committed(0, offsets))


def group(*looks: GroupLook, **changes: Any) -> GroupFacts:
    known = looks or (look(member("a", 0), member("b", 1), committed={0: 10, 1: 10}),)
    there = Coordinator(0, "", 1, address(1))
    return evolve(GroupFacts("billing", there, None, known, 6.0), **changes)


def places(**offsets: int) -> Mapping[TopicPartition, Place]:
    """Return the places of partitions of `orders`, which are named `p0` and so on."""
    return {
        TopicPartition("orders", int(name[1:])): Place(0, offset, -1)
        for name, offset in offsets.items()
    }


def well(*topics: Topic, **changes: Any) -> Facts:
    """Return facts in which no rule finds anything, with these changes."""
    known = topics or (topic(),)
    return evolve(
        Facts(
            bootstrap=(contact(0),),
            brokers={node: contact(node) for node in range(3)},
            overview=metadata(*known),
            named=tuple(each.name for each in known),
            wanted=known,
            configs={each.name: config(each.name) for each in known},
            ends=places(p0=10, p1=10),
            stable_ends=places(p0=10, p1=10),
            beginnings=places(p0=0, p1=0),
            quorum=Quorum(0, 0, dict.fromkeys(range(3), NOW_MS)),
            clock=Clock(0.01, 0.005),
            now_ms=NOW_MS,
            group=group(),
            ours=Ours(OURS, {"max_request_size": 1 << 20, "transaction_timeout_ms": 60_000}),
        ),
        **changes,
    )


def codes(facts: Facts) -> list[str]:
    """Return the codes of all that is found, the worst first."""
    return [each.code for each in findings_of(facts)]


def texts(facts: Facts, code: str) -> list[str]:
    """Return what the findings of a kind say."""
    return [
        f"{each.about}: {each.found}. {each.change}"
        for each in findings_of(facts)
        if each.code == code
    ]
