"""Find what this client may not do, as brokers say it when they are asked. Pure."""

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.cli.doctor.rules.finding import Findings, error, note, some
from sdml_kafka.transport.inspection.brokers import UNKNOWN_RIGHTS
from sdml_kafka.transport.inspection.transactions import FORBIDDEN as TRANSACTIONS_FORBIDDEN

READ, WRITE, CREATE, DESCRIBE_CONFIGS = 3, 4, 5, 10
"""Kafka's numbers of operations, which are the places of their bits."""
_FORBIDDEN = {29, 30, 31}
GROUP_FORBIDDEN = 30


def may(rights: int | None, operation: int) -> bool:
    """Return whether an operation is allowed, True where the broker does not say so."""
    return rights is None or rights == UNKNOWN_RIGHTS or bool(rights >> operation & 1)


def check_topics(facts: Facts) -> Findings:
    """Find topics that this client may not read or write."""
    for topic in facts.wanted:
        if topic.error:
            continue
        about = f"topic {topic.name}"
        reads, writes = may(topic.rights, READ), may(topic.rights, WRITE)
        if not reads and (facts.group is not None or not writes):
            yield error(
                "no-read",
                about,
                "this client may not read it" + ("" if writes else ", nor write to it"),
                "grant this user READ on the topic, or WRITE for what only sends there",
            )
        elif not reads or not writes:
            verb, right = ("read it", "READ") if not reads else ("write to it", "WRITE")
            yield note(
                "no-read" if not reads else "no-write",
                about,
                f"this client may not {verb}",
                f"grant this user {right} on the topic, if it has to",
            )


def check_group(facts: Facts) -> Findings:
    """Find a group that this client may not join."""
    if (group := facts.group) is None:
        return
    errors = {look.group.error for look in group.looks}
    errors |= {look.committed.error for look in group.looks}
    if group.coordinator is not None:
        errors.add(group.coordinator.error)
    rights = group.looks[-1].group.rights if group.looks else None
    if GROUP_FORBIDDEN in errors or not may(rights, READ):
        yield error(
            "no-group",
            f"group {group.name}",
            "this client may not join it, nor commit for it",
            "grant this user READ on the group",
        )


def check_transactions(facts: Facts) -> Findings:
    """Say that this client may not use the transactional ids of the group's processors."""
    if facts.group is not None and facts.group.transactions_error == TRANSACTIONS_FORBIDDEN:
        prefix = f"{facts.group.name}-"
        yield note(
            "no-transactions",
            f"group {facts.group.name}",
            f"this client may not use transactional ids that begin with {prefix!r}, which "
            "processors with exactly_once need",
            "if there are such processors, grant this user WRITE and DESCRIBE on transactional ids "
            f"with the prefix {prefix!r}",
        )


def check_settings(facts: Facts) -> Findings:
    """Find settings that this client may not see, so that rules have nothing to read."""
    hidden = [
        f"topic {topic.name}"
        for topic in facts.wanted
        if (config := facts.configs.get(topic.name)) is not None and config.error in _FORBIDDEN
    ]
    hidden += [
        f"broker {node}"
        for node, contact in facts.brokers.items()
        if contact.config is not None and contact.config.error in _FORBIDDEN
    ]
    if hidden:
        yield note(
            "settings-hidden",
            "the settings",
            f"this client may not see those of {some(hidden)}, which were not checked",
            "run this as a user with DESCRIBE_CONFIGS on the cluster and the topics",
        )


def check_cluster(facts: Facts) -> Findings:
    """Say that this client may create no topics."""
    if not may(facts.rights, CREATE):
        yield note(
            "no-create",
            "the cluster",
            "this client may create no topics by the right CREATE on the cluster",
            "create retry topics, topics of dead letters and of replies by hand, or grant this "
            "user CREATE on their names",
        )
