"""Find topics that are missing, have no leaders, or too few copies. Pure."""

from collections.abc import Sequence
from difflib import get_close_matches

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.cli.doctor.rules.finding import (
    Finding,
    Findings,
    error,
    note,
    number_of,
    reason_of,
    some,
    warning,
)
from sdml_kafka.plurals import counted
from sdml_kafka.transport.inspection.brokers import Partition, Topic

MISSING, FORBIDDEN = 3, 29
MAX_NEAREST = 20
"""The most missing topics for which a similar name is looked for among all: that takes long."""
_LEADERLESS = (
    "start the brokers that hold its copies; nothing can be read or sent there until one has"
)


def check_existence(facts: Facts) -> Findings:
    """Find topics that are not there, or not to be seen."""
    missing = 0
    for topic in facts.wanted:
        if topic.error == MISSING:
            missing += 1
            yield _missing(facts, topic.name, with_nearest=missing <= MAX_NEAREST)
        elif topic.error == FORBIDDEN:
            yield error(
                "topic-forbidden",
                f"topic {topic.name}",
                "this client may not see it, and may not know whether it exists",
                "grant this user DESCRIBE on it, with READ or WRITE for what it does there",
            )
        elif topic.error:
            yield error(
                "topic-unknown",
                f"topic {topic.name}",
                reason_of(topic.error),
                "if this lasts, see the log of the brokers",
            )


def _missing(facts: Facts, name: str, *, with_nearest: bool) -> Finding:
    topics = facts.overview.topics if with_nearest and facts.overview is not None else ()
    near = get_close_matches(name, [each.name for each in topics], n=1)
    hint = f"; there is {near[0]!r}" if near else ""
    creates = facts.settings.get("auto.create.topics.enable") == "true"
    by_itself = ", or send to it: the brokers create it (auto.create.topics.enable)"
    return error(
        "topic-missing",
        f"topic {name}",
        f"it does not exist{hint}",
        f"check the name, or create it{by_itself if creates else ''}",
    )


def check_leaders(facts: Facts) -> Findings:
    """Find partitions of these topics that have no leader."""
    for topic in facts.wanted:
        if lost := [each for each in topic.partitions if each.leader < 0]:
            nodes = sorted({str(node) for each in lost for node in each.replicas})
            yield error(
                "partition-offline",
                f"topic {topic.name}",
                f"{_listed(lost)} without a leader; the copies are on broker {some(nodes)}",
                _LEADERLESS,
            )


def check_copies(facts: Facts) -> Findings:
    """Compare the copies of these topics with what their settings ask for."""
    for topic in facts.wanted:
        if topic.partitions and not topic.error:
            yield from _in_sync(facts, topic)
            yield from _replication(facts, topic)


def _in_sync(facts: Facts, topic: Topic) -> Findings:
    least = _least_in_sync(facts, topic) or 1
    there = [each for each in topic.partitions if each.leader >= 0]
    few = [each for each in there if len(each.in_sync) < min(least, len(each.replicas))]
    behind = [each for each in there if len(each.in_sync) < len(each.replicas)]
    if few:
        yield error(
            "too-few-in-sync",
            f"topic {topic.name}",
            f"{_listed(few)} with fewer copies in sync than min.insync.replicas ({least}): what "
            'is sent there with acks="all" is refused',
            "start the brokers that are away, or see why they do not keep up",
        )
    elif behind:
        yield warning(
            "under-replicated",
            f"topic {topic.name}",
            f"{_listed(behind)} with fewer copies in sync than there should be",
            "start the brokers that are away, or see why they do not keep up",
        )


def _replication(facts: Facts, topic: Topic) -> Findings:
    known = _least_in_sync(facts, topic)
    least, copies = known or 1, min(len(p.replicas) for p in topic.partitions)
    about = f"topic {topic.name}"
    nodes = len(facts.overview.brokers) if facts.overview is not None else 1
    if least > copies:
        yield error(
            "min-insync-impossible",
            about,
            f"min.insync.replicas is {least}, and there are {copies} copies: what is sent with "
            'acks="all" is refused for ever',
            f"set min.insync.replicas to {max(1, copies - 1)}, or add copies",
        )
    elif least == copies > 1:
        yield warning(
            "min-insync-tight",
            about,
            f"min.insync.replicas is as many as there are copies ({copies}): while one broker "
            "restarts nothing can be sent",
            f"set min.insync.replicas to {copies - 1}, or add a copy",
        )
    elif copies == 1:
        yield (warning if nodes > 1 else note)(
            "one-copy",
            about,
            "each partition has one copy: with its broker it is away, and may be lost",
            "use a replication factor of 3 where records matter",
        )
    elif copies > 2 and known == 1:
        yield warning(
            "min-insync-low",
            about,
            f'min.insync.replicas is 1 of {copies} copies: acks="all" may mean one broker alone',
            "set min.insync.replicas to 2",
        )
    config = facts.configs.get(topic.name)
    if config is not None and config.values.get("unclean.leader.election.enable") == "true":
        yield warning(
            "unclean-election",
            about,
            "a copy that is behind may become the leader: what it lacks is lost",
            "set unclean.leader.election.enable to false",
        )


def _least_in_sync(facts: Facts, topic: Topic) -> int | None:
    """Return `min.insync.replicas`, None where this client may not see it."""
    config = facts.configs.get(topic.name)
    return None if config is None else number_of(config.values, "min.insync.replicas")


def check_other_topics(facts: Facts) -> Findings:
    """Find trouble of topics that were not asked for, Kafka's own among them."""
    if facts.overview is None:
        return
    wanted = {each.name for each in facts.wanted}
    lost, behind = list[str](), list[str]()
    for topic in facts.overview.topics:
        if topic.name in wanted:
            continue
        if any(each.leader < 0 for each in topic.partitions):
            lost.append(topic.name)
        elif any(len(each.in_sync) < len(each.replicas) for each in topic.partitions):
            behind.append(topic.name)
    if lost:
        yield error(
            "others-offline",
            _others(lost),
            f"partitions without a leader: {some(sorted(lost))}",
            _LEADERLESS,
        )
    if behind:
        yield warning(
            "others-under-replicated",
            _others(behind),
            f"partitions with fewer copies in sync than there should be: {some(sorted(behind))}",
            "start the brokers that are away, or see why they do not keep up",
        )


def _others(names: Sequence[str]) -> str:
    return counted(len(names), "other topic")


def _listed(partitions: Sequence[Partition]) -> str:
    numbers = some([str(each.number) for each in partitions])
    return f"partition{'' if len(partitions) == 1 else 's'} {numbers}"
