"""Find groups whose members do not fit, or do not read what there is to read. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from sdml_kafka.cli.doctor.facts import Facts, GroupFacts, GroupLook
from sdml_kafka.cli.doctor.lag import lag_of
from sdml_kafka.cli.doctor.rules.finding import (
    Findings,
    error,
    note,
    number_of,
    place,
    reason_of,
    some,
    warning,
)
from sdml_kafka.cli.doctor.rules.uses import is_retry_topic
from sdml_kafka.plurals import counted
from sdml_kafka.transport.inspection.groups import NOT_FOUND, Group, Member
from sdml_kafka.transport.interfaces.records import TopicPartition

FORBIDDEN = 30
_ENDED = {"Dead", "Empty", ""}
_REBALANCING = {"PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"}


def _last(facts: Facts) -> tuple[GroupFacts, GroupLook] | None:
    """Return the group and the last look at it, None if it was not seen."""
    group = facts.group
    if group is None or not group.looks or group.looks[-1].group.error not in (0, NOT_FOUND):
        return None
    return group, group.looks[-1]


def check_coordinator(facts: Facts) -> Findings:
    """Find a group whose coordinator is not there, or does not answer."""
    if (group := facts.group) is None or group.looks:
        return
    about, coordinator = f"group {group.name}", group.coordinator
    if coordinator is None:
        if facts.overview is not None:
            yield error("no-coordinator", about, "no broker says who serves it", "ask again later")
    elif coordinator.error not in (0, FORBIDDEN):
        yield error(
            "no-coordinator",
            about,
            f"{reason_of(coordinator.error)}, so nobody can join it",
            "if this lasts, the brokers cannot create or serve the topic __consumer_offsets: its "
            "replication factor (offsets.topic.replication.factor) must not be larger than the "
            "number of brokers, and enough of its copies have to be there",
        )
    elif not coordinator.error:
        reason = "it does not answer" if group.failure is None else group.failure.reason
        yield error(
            "coordinator-unreachable",
            about,
            f"its coordinator is broker {coordinator.node} at {place(coordinator.address)}: "
            f"{reason}",
            "see that broker; until another one takes over nobody can join or commit",
        )


def check_state(facts: Facts) -> Findings:
    """Find a group that is not there, has nobody in it, or does not come to rest."""
    if (last := _last(facts)) is None:
        return
    facts_of_group, look = last
    about, group = f"group {facts_of_group.name}", look.group
    if not group.members and not look.committed.offsets:
        yield warning(
            "group-missing",
            about,
            "nobody is in it, and nothing was ever committed for it",
            "check the name; a new group begins where auto_offset_reset says",
        )
    elif not group.members and (lag := sum(lag_of(facts).values())):
        yield warning(
            "nobody-reads",
            about,
            f"nobody is in it, and there is something to read: {counted(lag, 'record')}",
            "start a member; see why the last one left",
        )
    if len(facts_of_group.looks) > 1 and all(
        each.group.state in _REBALANCING for each in facts_of_group.looks
    ):
        yield warning(
            "rebalancing",
            about,
            f"it was in a rebalance twice, {facts_of_group.apart_s:g} s apart ({group.state})",
            "see which member holds it up (drains, or takes longer than its rebalance timeout), or "
            "joins again and again: the log of the coordinator names it",
        )


def check_protocols(facts: Facts) -> Findings:
    """Find what keeps a listener of ours out of the group: another protocol or assignor."""
    if (last := _last(facts)) is None or not last[1].group.members:
        return
    about, group = f"group {last[0].name}", last[1].group
    if group.protocol_type not in ("consumer", ""):
        yield error(
            "other-protocol",
            about,
            f"its members use it for {group.protocol_type!r}, and not to share partitions",
            "give the listener a group of its own",
        )
    elif group.kind == "classic":
        ours = facts.ours.assignor
        if group.state not in _ENDED and group.assignor and group.assignor != ours:
            yield warning(
                "assignors-differ",
                about,
                f"its members share out partitions by {group.assignor!r}, and a listener over "
                f"aiokafka brings {ours!r} alone: it cannot join",
                "give all members one in common (partition_assignment_strategy; Java: "
                "partition.assignment.strategy)",
            )
    elif facts.settings.get("group.consumer.migration.policy") in ("disabled", "downgrade"):
        yield error(
            "migration-disabled",
            about,
            "its members use KIP-848, and the brokers let no member of the classic protocol in, as "
            "listeners over aiokafka are",
            "take client='librdkafka', or set group.consumer.migration.policy=bidirectional",
        )


def check_members(facts: Facts) -> Findings:
    """Find members that want different topics, and a group that is full."""
    if (last := _last(facts)) is None:
        return
    about, group = f"group {last[0].name}", last[1].group
    wishes = Counter(member.topics for member in group.members if member.topics is not None)
    if len(wishes) > 1:
        texts = [
            f"{count} want{'s' if count == 1 else ''} {some(sorted(wish))}"
            for wish, count in wishes.most_common()
        ]
        yield warning(
            "topics-differ",
            about,
            f"its members want different topics: {'; '.join(texts[:5])}",
            "if these are different services, give each a group of its own: every rebalance of one "
            "interrupts the other",
        )
    limit = "group.consumer.max.size" if group.kind == "consumer" else "group.max.size"
    most = number_of(facts.settings, limit)
    if most is not None and len(group.members) >= most:
        yield warning(
            "group-full",
            about,
            f"it has {len(group.members):,} members, and no more may join ({limit})",
            f"raise {limit} on the brokers, or run fewer members",
        )


def check_shares(facts: Facts) -> Findings:
    """Find members without partitions, and partitions without a member."""
    if (last := _last(facts)) is None or last[1].group.state != "Stable":
        return
    about, group = f"group {last[0].name}", last[1].group
    missing = {each.name for each in facts.wanted if each.error}
    if idle := [
        _shown(each)
        for each in group.members
        if not each.partitions and not (each.topics and each.topics <= missing)
    ]:
        shared = len({key for each in group.members for key in each.partitions})
        yield warning(
            "idle-members",
            about,
            f"{len(idle):,} of {len(group.members):,} members have no partition, with {shared:,} "
            f"to share: {some(idle)}",
            "add partitions, or run fewer members; a member in reserve is fine",
        )
    if free := _without_member(facts, group):
        yield error(
            "nobody-has",
            about,
            f"nobody reads {some([_named(key) for key in free])}",
            "see whether a member leads the group that cannot see these topics (rights, or old "
            "metadata); starting a member anew has the partitions shared out again",
        )


def _without_member(facts: Facts, group: Group) -> list[TopicPartition]:
    wanted = {name for member in group.members for name in member.topics or ()}
    taken = {key for member in group.members for key in member.partitions}
    return sorted(
        key
        for topic in facts.wanted
        if topic.name in wanted and not topic.error
        for each in topic.partitions
        if (key := TopicPartition(topic.name, each.number)) not in taken
    )


def check_offsets(facts: Facts) -> Findings:
    """Find commits that lie outside of the log, and transactions that hold up readers."""
    if (last := _last(facts)) is None:
        return
    about, offsets = f"group {last[0].name}", last[1].committed.offsets
    gone = {
        key: begin.offset - offset
        for key, offset in offsets.items()
        if (begin := facts.beginnings.get(key)) is not None and offset < begin.offset
    }
    if gone:
        yield warning(
            "records-lost",
            about,
            f"{sum(gone.values()):,} records were deleted before they were read: {_worst(gone)}",
            "raise retention.ms or retention.bytes of the topic, or read faster",
        )
    beyond = {
        key: offset - end.offset
        for key, offset in offsets.items()
        if (end := facts.ends.get(key)) is not None and not end.error and offset > end.offset
    }
    if beyond:
        yield error(
            "commit-beyond-end",
            about,
            f"what is committed lies behind the end of the log: {_worst(beyond)}",
            "the topic was created anew, or lost records; set the offsets back "
            "(kafka-consumer-groups --reset-offsets) while nobody is in the group",
        )
    held = {
        key: end.offset - stable.offset
        for key, end in facts.ends.items()
        if (stable := facts.stable_ends.get(key)) is not None
        and not stable.error
        and key in offsets
        and offsets[key] >= stable.offset
        and end.offset > stable.offset
    }
    if held:
        yield note(
            "open-transaction",
            about,
            f"a transaction is open, behind which nobody reads who reads only what is committed: "
            f"{_worst(held)}",
            "if it stays: kafka-transactions --describe-producers shows whose it is",
        )


def check_progress(facts: Facts) -> Findings:
    """Report the lag, and find members that commit nothing of what waits."""
    if (last := _last(facts)) is None or not (lag := _positive(lag_of(facts))):
        return
    facts_of_group, look = last
    about = f"group {facts_of_group.name}"
    waiting = sum(count for key, count in lag.items() if is_retry_topic(key.topic))
    by_plan = f"; {waiting:,} in retry topics, where they wait until they are due" * bool(waiting)
    yield note(
        "lag",
        about,
        f"{counted(sum(lag.values()), 'record')} yet to read in {counted(len(lag), 'partition')}: "
        f"{_worst(lag)}{by_plan}",
        "if it grows, run more members (up to the number of partitions), or process more at once",
    )
    if len(facts_of_group.looks) < 2 or look.group.state != "Stable":
        return
    before = facts_of_group.looks[0].committed.offsets
    stuck = defaultdict[str, list[str]](list)
    holders = {key: each for each in look.group.members for key in each.partitions}
    for key in sorted(lag):
        if is_retry_topic(key.topic):  # its records may be minutes from being due
            continue
        if key in holders and before.get(key) == look.committed.offsets.get(key):
            stuck[_shown(holders[key])].append(f"{_named(key)} at {before[key]:,}")
    for member, places in stuck.items():
        yield warning(
            "no-progress",
            f"{about}, member {member}",
            f"it has committed nothing for {facts_of_group.apart_s:g} s though records wait: "
            f"{some(places)}",
            "see what it does with the record at that offset; it is fine if records take that "
            "long, or are committed less often",
        )


def _positive(lag: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    return {key: count for key, count in lag.items() if count}


def _worst(counts: Mapping[TopicPartition, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return some([f"{_named(key)} ({count:,})" for key, count in ordered])


def _named(key: TopicPartition) -> str:
    return f"{key.topic} {key.partition}"


def _shown(member: Member) -> str:
    return f"{member.client_id}@{member.host.removeprefix('/')} ({member.instance_id or member.id})"
