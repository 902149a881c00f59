"""Asks a Kafka everything that the rules read. Nothing is written, joined or created.

How this works. Each stage needs what the one before has found: addresses, brokers, the group, its
topics, their logs. Within a stage brokers are asked side by side. A broker that does not answer
once is not asked again, so the whole ends within a few times the timeout, whatever is frozen.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import anyio
from attrs import evolve, frozen

from sdml_kafka.cli.doctor.asking import Asking, together
from sdml_kafka.cli.doctor.facts import (
    Clock,
    Contact,
    Facts,
    Failure,
    GroupFacts,
    GroupLook,
    Ours,
)
from sdml_kafka.cli.doctor.lag import lag_of
from sdml_kafka.cli.doctor.rules.finding import reason_of
from sdml_kafka.transport.inspection import brokers, groups, logs, transactions
from sdml_kafka.transport.inspection.brokers import Config, Quorum, Topic
from sdml_kafka.transport.inspection.groups import Group
from sdml_kafka.transport.inspection.logs import Place
from sdml_kafka.transport.interfaces.inspection import Address, Inspector
from sdml_kafka.transport.interfaces.records import TopicPartition

CLOCK_SAMPLES = 3
MAX_TOPICS = 1000
"""The number of topics of a group that are looked at one by one."""
MAX_PARTITIONS = 20_000
"""The number of partitions whose logs are asked for."""
TRANSACTIONAL_ID_DIGITS = 32
"""The digits behind a group's name in the transactional ids of its processors."""
Places = Mapping[TopicPartition, Place]


@frozen
class Plan:
    """The addresses, topics and group to examine."""

    addresses: tuple[Address, ...]
    topics: tuple[str, ...]
    group: str | None
    timeout_s: float
    """Seconds within which a broker has to answer."""
    watch_s: float
    """Seconds between two looks at a group that has something to read."""


class Examination:
    """One examination of a Kafka."""

    def __init__(self, inspector: Inspector, plan: Plan, ours: Ours) -> None:
        self._asking = Asking(inspector, plan.timeout_s)
        self._plan = plan
        self._ours = ours

    async def run(self) -> Facts:
        """Ask, and return what was found out."""
        found = await together(self._plan.addresses, self._contact)
        facts = Facts(bootstrap=tuple(found.values()), ours=self._ours, named=self._plan.topics)
        seen = next((each.metadata for each in found.values() if each.metadata), None)
        if seen is not None:
            contacts = await together(seen.brokers.items(), self._contact_broker)
            facts = evolve(facts, brokers={node: each for (node, _), each in contacts.items()})
            speaker = _speaker(facts)
            facts = await self._examine_group(facts, speaker)
            facts = await self._examine_topics(facts, speaker)
            facts = await self._examine_logs(facts)
            facts = self._with_failures(await self._look_again(facts))
            # The last, since the broker that is asked waits for the controllers.
            facts = await self._compare_clocks(facts, speaker)
        return evolve(facts, now_ms=int(time.time() * 1000))

    async def _contact(self, address: Address) -> Contact:
        ask = self._asking
        versions = await ask.ask(address, brokers.versions_request(), brokers.read_versions)
        if versions is None:
            return Contact(address, ask.failures.get(address))
        if versions.error:
            ask.failures[address] = Failure(
                f"it answers with an error: {reason_of(versions.error)}"
            )
            return Contact(address, ask.failures[address])
        ask.apis[address] = versions.apis
        request = brokers.metadata_request((), with_rights=True)
        metadata, seconds = await ask.timed(address, request, brokers.read_metadata)
        failure = ask.failures.get(address)
        if metadata is None and failure is None:
            failure = Failure("it is older than Kafka 2.4, or no broker of Kafka")
        return Contact(address, failure, versions, metadata, seconds)

    async def _contact_broker(self, broker: tuple[int, Address]) -> Contact:
        node, address = broker
        contact = await self._contact(address)
        if contact.metadata is None:
            return contact
        request = brokers.configs_request(brokers.BROKER, [str(node)])
        configs = await self._asking.ask(address, request, brokers.read_configs)
        return evolve(contact, config=configs[0] if configs else None)

    async def _examine_group(self, facts: Facts, speaker: Address) -> Facts:
        if (name := self._plan.group) is None:
            return facts
        request = groups.coordinator_request(name)
        coordinator = await self._asking.ask(speaker, request, groups.read_coordinator)
        request = transactions.transaction_request(f"{name}-{'0' * TRANSACTIONAL_ID_DIGITS}")
        error = await self._asking.ask(speaker, request, transactions.read_transaction_error)
        group = GroupFacts(name, coordinator, transactions_error=error)
        if coordinator is not None and not coordinator.error:
            look = await self._look(name, coordinator.address)
            config = await self._asking.ask(
                coordinator.address,
                brokers.configs_request(brokers.GROUP, [name]),
                brokers.read_configs,
            )
            group = evolve(
                group,
                looks=() if look is None else (look,),
                failure=self._asking.failures.get(coordinator.address),
                config=config[0] if config else None,
            )
        topics = dict.fromkeys((*facts.named, *_topics_of(group)[:MAX_TOPICS]))
        return evolve(facts, group=group, named=tuple(topics))

    async def _look(self, name: str, coordinator: Address) -> GroupLook | None:
        group: Group | None = await self._asking.ask(
            coordinator, groups.consumer_group_request(name), groups.read_consumer_group
        )
        if group is None or group.error == groups.NOT_FOUND:  # an older broker, or a classic group
            request = groups.classic_group_request(name)
            group = await self._asking.ask(coordinator, request, groups.read_classic_group)
        request = groups.committed_request(name)
        committed = await self._asking.ask(coordinator, request, groups.read_committed)
        return None if group is None or committed is None else GroupLook(group, committed)

    async def _examine_topics(self, facts: Facts, speaker: Address) -> Facts:
        ask = self._asking.ask
        everything = brokers.metadata_request(None)
        overview = await ask(speaker, everything, brokers.read_metadata)
        request = brokers.metadata_request(facts.named, with_rights=True)
        found = await ask(speaker, request, brokers.read_metadata)
        place_of = {name: place for place, name in enumerate(facts.named)}
        wanted = sorted(found.topics if found else (), key=lambda each: place_of.get(each.name, -1))
        there = [each.name for each in wanted if not each.error]
        configs: tuple[Config, ...] = ()
        if there:
            request = brokers.configs_request(brokers.TOPIC, there)
            configs = await ask(speaker, request, brokers.read_configs) or ()
        return evolve(
            facts,
            overview=overview,
            wanted=tuple(wanted),
            rights=None if found is None else found.rights,
            configs={each.name: each for each in configs},
        )

    async def _examine_logs(self, facts: Facts) -> Facts:
        addresses = {node: each.address for node, each in facts.brokers.items()}
        leaders = defaultdict[Address, set[TopicPartition]](set)
        for key, leader in _leaders(facts.wanted)[:MAX_PARTITIONS]:
            if leader in addresses:
                leaders[addresses[leader]].add(key)
        found = await together(leaders, lambda each: self._logs(each, frozenset(leaders[each])))
        merged: list[dict[TopicPartition, Place]] = [{}, {}, {}, {}]
        for places in found.values():
            for all_of_it, part in zip(merged, places, strict=True):
                all_of_it.update(part)
        ends, stable_ends, beginnings, latest = merged
        return evolve(
            facts, ends=ends, stable_ends=stable_ends, beginnings=beginnings, latest=latest
        )

    async def _logs(self, leader: Address, keys: frozenset[TopicPartition]) -> Sequence[Places]:
        requests = (
            logs.offsets_request(keys, logs.END),
            logs.offsets_request(keys, logs.END, committed=True),
            logs.offsets_request(keys, logs.BEGINNING),
            logs.offsets_request(keys, logs.LATEST_TIME),
        )
        ask = partial(self._asking.ask, leader, read=logs.read_offsets)
        return [await ask(request) or {} for request in requests]

    def _with_failures(self, facts: Facts) -> Facts:
        """Return the facts with the failures of brokers that answered at first."""

        def with_failure(contact: Contact) -> Contact:
            failure = self._asking.failures.get(contact.address, contact.failure)
            return evolve(contact, failure=failure)

        return evolve(
            facts,
            bootstrap=tuple(map(with_failure, facts.bootstrap)),
            brokers={node: with_failure(each) for node, each in facts.brokers.items()},
        )

    async def _compare_clocks(self, facts: Facts, speaker: Address) -> Facts:
        """Ask for the state of the controllers, and the clock of the active one.

        In its answer it gives the present as the time at which it was up to date itself. Of a few
        answers the quickest says most.
        """
        quorum: Quorum | None = None
        best: Clock | None = None
        for _ in range(CLOCK_SAMPLES):
            begun = time.time()
            request = brokers.quorum_request()
            answer, seconds = await self._asking.timed(speaker, request, brokers.read_quorum)
            quorum = answer or quorum
            if answer is None or (now_ms := answer.now_ms) is None:
                break
            clock = Clock(now_ms / 1000 - (begun + seconds / 2), seconds / 2 + 0.001)
            best = min(best or clock, clock, key=lambda each: each.within_s)
        failure = self._asking.failures.get(speaker)
        return evolve(facts, quorum=quorum, clock=best, quorum_failure=failure)

    async def _look_again(self, facts: Facts) -> Facts:
        """Look at the group once more, some seconds later, if it has something to do."""
        group = facts.group
        if group is None or group.coordinator is None or not group.looks or not self._plan.watch_s:
            return facts
        first = group.looks[0]
        if not first.group.members or not sum(lag_of(facts).values()):
            return facts
        await anyio.sleep(self._plan.watch_s)
        second = await self._look(group.name, group.coordinator.address)
        if second is None:
            return facts
        looked = evolve(group, looks=(first, second), apart_s=self._plan.watch_s)
        return evolve(facts, group=looked)


def _speaker(facts: Facts) -> Address:
    """Return the address of a broker to ask about everything: one that it advertises, if it can."""
    contacts = (*facts.brokers.values(), *facts.bootstrap)
    return next(each.address for each in contacts if each.metadata is not None)


def _topics_of(group: GroupFacts) -> list[str]:
    """Return the topics that the group reads, or has read."""
    names = set[str]()
    for look in group.looks:
        names |= {key.topic for key in look.committed.offsets}
        names |= {name for member in look.group.members for name in member.topics or ()}
        names |= {key.topic for member in look.group.members for key in member.partitions}
    return sorted(names)


def _leaders(topics: Sequence[Topic]) -> list[tuple[TopicPartition, int]]:
    return [
        (TopicPartition(topic.name, each.number), each.leader)
        for topic in topics
        for each in topic.partitions
    ]
