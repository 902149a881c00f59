"""What is asked, of whom, and for how long; brokers that answer nonsense, late or never."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from sdml_kafka.cli.doctor.examination import Examination, Plan
from sdml_kafka.cli.doctor.facts import Facts, Ours
from sdml_kafka.cli.doctor.lag import lag_of
from sdml_kafka.errors import AuthenticationFailed, BrokerUnreachable
from sdml_kafka.transport.inspection import brokers, groups, logs, transactions
from sdml_kafka.transport.interfaces.inspection import Address, Request
from tests.support import written_answers as written
from tests.support.doctor_facts import codes
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]

ONE, TWO, GONE = ("one", 9092), ("two", 9092), ("gone", 9092)
NODES = {1: ONE, 2: TWO}
TOPIC = written.topic(
    "orders", written.partition(0, 1, [1, 2], [1, 2]), written.partition(1, 2, [1, 2], [1, 2])
)
ANSWERS: Mapping[int, Callable[[], bytes]] = {
    brokers.API_VERSIONS: lambda: written.versions(features={"group.version": 1}),
    brokers.METADATA: lambda: written.metadata(NODES, TOPIC),
    brokers.DESCRIBE_CONFIGS: lambda: written.configs({"orders": {"min.insync.replicas": "1"}}),
    brokers.DESCRIBE_QUORUM: lambda: written.quorum(1, {1: 1000}),
    groups.FIND_COORDINATOR: lambda: written.coordinator(2, TWO),
    groups.DESCRIBE_CONSUMER_GROUPS: lambda: written.consumer_group("g", "", error=69),
    groups.DESCRIBE_GROUPS: lambda: written.classic_group(
        "g",
        "Stable",
        written.classic_member(
            "m", written.subscription("orders"), written.assignment("orders", 0, 1)
        ),
    ),
    groups.FETCH_OFFSETS: lambda: written.committed("orders", {0: 5, 1: 7}),
    transactions.DESCRIBE_TRANSACTIONS: lambda: written.transaction("g-0", 105),
    logs.LIST_OFFSETS: lambda: written.offsets("orders", {0: 9, 1: 7}),
}


class Brokers:
    """An `Inspector` whose brokers are all the same, but for those that are made to differ."""

    def __init__(self) -> None:
        self.asked: list[tuple[Address, int]] = []
        self.answers = dict(ANSWERS)
        self.silent: set[Address] = set()
        """The brokers that do not answer within any timeout."""
        self.errors: dict[Address, Exception] = {GONE: BrokerUnreachable("nothing listens there")}

    async def ask(self, address: Address, request: Request, timeout_s: float) -> bytes:
        self.asked.append((address, request.api_key))
        if address in self.silent:
            await anyio.sleep(timeout_s)
            raise BrokerUnreachable("it takes connections, and does not answer")
        await anyio.lowlevel.checkpoint()
        if address in self.errors:
            raise self.errors[address]
        return self.answers[request.api_key]()


def plan(*addresses: Address, watch_s: float = 6.0, **changes: Any) -> Plan:
    settings: dict[str, Any] = {"topics": (), "group": "g", "timeout_s": 5.0, **changes}
    return Plan(addresses=addresses or (ONE,), watch_s=watch_s, **settings)


async def examine(inspector: Brokers, wanted: Plan) -> Facts:
    return await Examination(inspector, wanted, Ours()).run()


async def test_everything_is_found_from_one_address() -> None:
    facts = await examine(Brokers(), plan(watch_s=0.0))
    assert {node: each.address for node, each in facts.brokers.items()} == NODES
    assert facts.named == ("orders",)
    assert {key.partition: count for key, count in lag_of(facts).items()} == {0: 4, 1: 0}
    assert facts.quorum is not None
    assert facts.clock is not None
    assert facts.clock.ahead_s < -1e9


async def test_topics_are_in_the_order_in_which_they_were_named() -> None:
    inspector = Brokers()
    names = ("orders", "bills", "items")
    topics = [written.topic(name, written.partition(0, 1, [1], [1])) for name in sorted(names)]
    inspector.answers[brokers.METADATA] = lambda: written.metadata(NODES, *topics)
    facts = await examine(inspector, plan(watch_s=0.0, topics=names))
    assert [each.name for each in facts.wanted] == list(names)


async def test_each_leader_is_asked_for_its_own_logs_and_the_coordinator_about_the_group() -> None:
    inspector = Brokers()
    await examine(inspector, plan(watch_s=0.0))
    assert {address for address, key in inspector.asked if key == logs.LIST_OFFSETS} == {ONE, TWO}
    assert {address for address, key in inspector.asked if key == groups.FETCH_OFFSETS} == {TWO}


async def test_a_group_that_has_something_to_read_is_looked_at_twice() -> None:
    begun = anyio.current_time()
    facts = await examine(Brokers(), plan())
    assert facts.group is not None
    assert len(facts.group.looks) == 2
    assert anyio.current_time() - begun == pytest.approx(6.0, abs=0.1)
    assert "no-progress" in codes(facts)


async def test_a_group_without_lag_is_looked_at_once() -> None:
    inspector = Brokers()
    inspector.answers[groups.FETCH_OFFSETS] = lambda: written.committed("orders", {0: 9, 1: 7})
    begun = anyio.current_time()
    facts = await examine(inspector, plan())
    assert facts.group is not None
    assert len(facts.group.looks) == 1
    assert anyio.current_time() == pytest.approx(begun, abs=0.1)


async def test_rights_on_the_transactional_ids_of_a_group() -> None:
    inspector = Brokers()
    facts = await examine(inspector, plan(watch_s=0.0))
    assert facts.group is not None
    assert facts.group.transactions_error == 105  # there is no such id, and this client may see it
    inspector.answers[transactions.DESCRIBE_TRANSACTIONS] = lambda: written.transaction("g-0", 53)
    found = codes(await examine(inspector, plan(watch_s=0.0)))
    assert found.count("no-transactions") == 1


async def test_a_group_of_kip_848_is_not_asked_for_as_a_classic_one() -> None:
    inspector = Brokers()
    member = written.consumer_member("m", "orders", 0, 1)
    group = written.consumer_group("g", "Stable", member)
    inspector.answers[groups.DESCRIBE_CONSUMER_GROUPS] = lambda: group
    facts = await examine(inspector, plan(watch_s=0.0))
    assert facts.group is not None
    assert facts.group.looks[0].group.kind == "consumer"
    assert groups.DESCRIBE_GROUPS not in {key for _, key in inspector.asked}


async def test_a_broker_that_does_not_answer_is_waited_for_once() -> None:
    inspector = Brokers()
    inspector.silent = {TWO}  # the coordinator of the group, and the leader of a partition
    begun = anyio.current_time()
    facts = await examine(inspector, plan(ONE, TWO))
    assert anyio.current_time() - begun == pytest.approx(5.0, abs=0.2)
    assert [key for address, key in inspector.asked if address == TWO] == [brokers.API_VERSIONS]
    found = codes(facts)
    assert {"broker-unreachable", "coordinator-unreachable"} <= set(found)
    assert "bootstrap-unreachable" not in found


async def test_brokers_that_do_not_answer_are_waited_for_side_by_side() -> None:
    inspector = Brokers()
    nodes = {node: (f"node-{node}", 9092) for node in range(20)}
    inspector.answers[brokers.METADATA] = lambda: written.metadata({**nodes, 1: ONE}, TOPIC)
    inspector.silent = set(nodes.values())
    begun = anyio.current_time()
    facts = await examine(inspector, plan(group=None))
    assert anyio.current_time() - begun == pytest.approx(5.0, abs=0.2)
    assert codes(facts).count("advertised-unreachable") == 19  # node 1 is there


async def test_nobody_answers() -> None:
    inspector = Brokers()
    inspector.silent = {ONE}
    facts = await examine(inspector, plan(ONE, GONE))
    assert facts.overview is None
    assert codes(facts) == ["bootstrap-unreachable"] * 2


async def test_credentials_are_refused() -> None:
    inspector = Brokers()
    inspector.errors[ONE] = AuthenticationFailed("The broker refused the credentials")
    assert codes(await examine(inspector, plan())) == ["credentials-refused"]


@pytest.mark.parametrize("key", ANSWERS)
async def test_an_answer_that_is_nonsense_is_a_finding(key: int) -> None:
    inspector = Brokers()
    inspector.answers[key] = lambda: b"\xff\xff\xff"
    facts = await examine(inspector, plan(watch_s=0.0))
    failures = [each.failure for each in (*facts.bootstrap, *facts.brokers.values())]
    failures += [facts.quorum_failure, None if facts.group is None else facts.group.failure]
    said = {each.reason for each in failures if each is not None}
    assert codes(facts)
    assert not said or any("cannot be read" in each or "error" in each for each in said)


async def test_a_broker_that_is_too_old_for_a_question_is_not_asked_it() -> None:
    inspector = Brokers()
    apis = {3: (0, 9), 10: (0, 3), 15: (0, 5), 9: (0, 6), 2: (0, 6), 32: (0, 3)}
    inspector.answers[brokers.API_VERSIONS] = lambda: written.versions(apis)
    facts = await examine(inspector, plan(watch_s=0.0))
    asked = {key for _, key in inspector.asked}
    assert asked == {18, 3, 10, 15, 9}
    assert facts.group is not None
    assert facts.group.looks[0].group.kind == "classic"
    assert "clock-unknown" in codes(facts)


async def test_a_broker_that_is_too_old_for_anything() -> None:
    inspector = Brokers()
    inspector.answers[brokers.API_VERSIONS] = lambda: written.versions({3: (0, 8)})
    facts = await examine(inspector, plan())
    assert codes(facts) == ["bootstrap-unreachable"]
    assert facts.bootstrap[0].failure is not None
    assert "older than Kafka 2.4" in facts.bootstrap[0].failure.reason
