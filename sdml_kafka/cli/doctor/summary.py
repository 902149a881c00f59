"""The things that were looked at, as plain data for `--json`, and as lines. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from sdml_kafka.cli.doctor.facts import Contact, Facts
from sdml_kafka.cli.doctor.lag import lag_of, unknown_lag
from sdml_kafka.cli.doctor.rules.finding import place
from sdml_kafka.plurals import counted
from sdml_kafka.transport.inspection.brokers import Topic
from sdml_kafka.transport.inspection.groups import Member

_RELEASES = (
    (33, "4.4"),
    (30, "4.3"),
    (29, "4.2"),
    (27, "4.1"),
    (25, "4.0"),
    (21, "3.9"),
    (20, "3.8"),
    (19, "3.7"),
    (14, "3.6"),
    (11, "3.5"),
    (8, "3.4"),
    (7, "3.3"),
)
"""The highest level of the feature metadata.version in each release, as far as they are known."""
MAX_MEMBERS = 200
"""Members that are written down one by one."""
_OFFERS = (("group.version", 1, "groups of KIP-848"), ("transaction.version", 2, "transactions v2"))
"""Features, the least level of each that counts, and what it is called."""
_SETTINGS = (
    "min.insync.replicas",
    "max.message.bytes",
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
)


def release_of(features: Mapping[str, int]) -> str | None:
    """Return the release whose features the cluster uses, None if that is not known."""
    level = features.get("metadata.version", 0)
    found = [name for highest, name in _RELEASES if level <= highest]
    return found[-1] if found and level else None


def as_data(facts: Facts) -> dict[str, Any]:
    """Return what was looked at."""
    seen = facts.overview
    return {
        "cluster": None
        if seen is None
        else {
            "id": seen.cluster_id,
            "controller": seen.controller if seen.controller >= 0 else None,
            "release": release_of(facts.features),
            "features": dict(sorted(facts.features.items())),
            "topics": len(seen.topics),
        },
        "bootstrap": [_contact(each) for each in facts.bootstrap],
        "brokers": [{"node": node, **_contact(each)} for node, each in facts.brokers.items()],
        "clock": None
        if facts.clock is None
        else {
            "ahead_s": round(facts.clock.ahead_s, 4),
            "within_s": round(facts.clock.within_s, 4),
        },
        "topics": [_topic(facts, each) for each in facts.wanted],
        "group": _group(facts),
    }


def _contact(contact: Contact) -> dict[str, Any]:
    answers = contact.metadata is not None
    return {
        "address": place(contact.address),
        "answers": answers,
        "reason": None if contact.failure is None else contact.failure.reason,
        "milliseconds": round(contact.seconds * 1000, 1) if answers else None,
    }


def _topic(facts: Facts, topic: Topic) -> dict[str, Any]:
    config = facts.configs.get(topic.name)
    values = dict[str, str]() if config is None else config.values
    return {
        "name": topic.name,
        "error": topic.error or None,
        "partitions": len(topic.partitions),
        "copies": min((len(each.replicas) for each in topic.partitions), default=0),
        "without_leader": sum(each.leader < 0 for each in topic.partitions),
        "under_replicated": sum(
            len(each.in_sync) < len(each.replicas) for each in topic.partitions
        ),
        "settings": {name: values[name] for name in _SETTINGS if name in values},
    }


def _group(facts: Facts) -> dict[str, Any] | None:
    if (group := facts.group) is None:
        return None
    found: dict[str, Any] = {
        "name": group.name,
        "coordinator": group.coordinator.node if group.coordinator is not None else None,
    }
    if group.looks:
        seen, lag = group.looks[-1].group, lag_of(facts)
        found |= {
            "protocol": seen.kind,
            "state": seen.state,
            "assignor": seen.assignor,
            "members": len(seen.members),
            "member_list": [_member(each) for each in seen.members[:MAX_MEMBERS]],
            "lag": sum(lag.values()),
            "lag_unknown": [list(each) for each in unknown_lag(facts)],
            "lag_of": [[key.topic, key.partition, lag[key]] for key in sorted(lag) if lag[key]],
        }
    return found


def _member(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "host": member.host,
        "topics": None if member.topics is None else sorted(member.topics),
        "partitions": [list(each) for each in sorted(member.partitions)],
    }


def as_lines(facts: Facts) -> Iterator[str]:
    """Yield a line for each thing that was looked at."""
    data = as_data(facts)
    if (cluster := data["cluster"]) is not None:
        release = f", features of Kafka {cluster['release']}" if cluster["release"] else ""
        offers = "".join(
            f", {what}" for name, level, what in _OFFERS if facts.features.get(name, 0) >= level
        )
        yield f"cluster  {cluster['id']}, controller {cluster['controller']}{release}{offers}"
    for broker in data["brokers"]:
        answer = f"answers in {broker['milliseconds']:g} ms" if broker["answers"] else "is away"
        yield f"broker   {broker['node']} at {broker['address']} {answer}"
    if (clock := facts.clock) is not None:
        direction = "ahead of" if clock.ahead_s > 0 else "behind"
        yield (
            f"clock    the controller's is {abs(clock.ahead_s):.3f} s {direction} ours, give or "
            f"take {clock.within_s:.3f} s"
        )
    for topic in data["topics"]:
        if topic["error"] is None:
            settings = "".join(f", {name} {value}" for name, value in topic["settings"].items())
            yield (
                f"topic    {topic['name']}: {counted(topic['partitions'], 'partition')}, "
                f"{topic['copies']} of each{settings}"
            )
    if (group := data["group"]) is not None and "state" in group:
        how = f"{group['protocol']} protocol" + (f", {group['assignor']}" * bool(group["assignor"]))
        missing = len(group["lag_unknown"])
        unknown = f", of {counted(missing, 'partition')} it is not known" if missing else ""
        yield (
            f"group    {group['name']}: {group['state']}, {counted(group['members'], 'member')}, "
            f"{how}, {counted(group['lag'], 'record')} behind{unknown}"
        )
