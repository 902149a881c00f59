"""Find brokers that cannot be reached, differ from each other, or are away. Pure."""

from collections import defaultdict
from ipaddress import ip_address

from sdml_kafka.cli.doctor.facts import Contact, Facts
from sdml_kafka.cli.doctor.rules.finding import (
    Finding,
    Findings,
    error,
    note,
    place,
    some,
    warning,
)
from sdml_kafka.transport.interfaces.inspection import Address

SLOW_S = 0.5
BEHIND_MS = 10_000
"""Milliseconds for which a controller may not have been up to date."""
_ADVERTISED = (
    "clients connect to advertised.listeners: set it on the broker to an address that can be "
    "reached from here, or make this one reachable (network, name, firewall)"
)
_CREDENTIALS = "check security_protocol, sasl_mechanism, user, password and certificates (--config)"


def check_bootstrap(facts: Facts) -> Findings:
    """Find addresses that were given and do not answer."""
    failed = [each for each in facts.bootstrap if each.metadata is None]
    advertised = {each.address for each in facts.brokers.values()}
    for contact in failed:
        if contact.address in advertised:  # which `check_advertised` finds
            continue
        others = "; the others are used" if len(failed) < len(facts.bootstrap) else ""
        yield _failed(
            contact,
            "bootstrap-unreachable",
            f"the address {place(contact.address)}",
            f"check the address, the network, that Kafka runs there, and security_protocol{others}",
            is_error=not others,
        )


def check_advertised(facts: Facts) -> Findings:
    """Find brokers that do not answer at the address that they give to clients."""
    given = {each.address for each in facts.bootstrap}
    for node, contact in facts.brokers.items():
        if contact.metadata is None:
            is_given = contact.address in given
            yield _failed(
                contact,
                "broker-unreachable" if is_given else "advertised-unreachable",
                f"broker {node} at {place(contact.address)}",
                "see that broker's log and machine" if is_given else _ADVERTISED,
            )
    for contact in facts.brokers.values():
        host = contact.address[0]
        if _is_loopback(host) and not all(_is_loopback(each[0]) for each in given):
            yield warning(
                "advertised-loopback",
                place(contact.address),
                "a broker advertises an address that means each client's own machine",
                _ADVERTISED,
            )


def _failed(
    contact: Contact, code: str, about: str, change: str, *, is_error: bool = True
) -> Finding:
    failure = contact.failure
    if failure is not None and failure.is_credentials:
        return error("credentials-refused", about, failure.reason, _CREDENTIALS)
    found = "it does not answer" if failure is None else failure.reason
    return (error if is_error else warning)(code, about, found, change)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_shared_addresses(facts: Facts) -> Findings:
    """Find brokers that advertise the same address."""
    nodes = defaultdict[Address, list[str]](list)
    for node, contact in facts.brokers.items():
        nodes[contact.address].append(str(node))
    for address, sharing in nodes.items():
        if len(sharing) > 1:
            yield error(
                "address-shared",
                f"brokers {some(sharing)}",
                f"all of them advertise {place(address)}, so only one can be reached",
                "give each broker an address of its own in advertised.listeners",
            )


def check_agreement(facts: Facts) -> Findings:
    """Find addresses of different clusters, and brokers that see different ones."""
    contacts = {each.address: each for each in (*facts.bootstrap, *facts.brokers.values())}
    seen = {address: each.metadata for address, each in contacts.items() if each.metadata}
    clusters = {metadata.cluster_id for metadata in seen.values()}
    if len(clusters) > 1:
        yield error(
            "two-clusters",
            "the addresses",
            f"they lead to {len(clusters)} different clusters",
            "give the addresses of one cluster, and check what names resolve to from here",
        )
    elif len({frozenset(metadata.brokers) for metadata in seen.values()}) > 1:
        views = [f"{place(a)} sees {sorted(m.brokers)}" for a, m in seen.items()]
        yield warning(
            "brokers-disagree",
            "the brokers",
            f"they do not see the same brokers: {some(views)}",
            "if this lasts, a broker is cut off from the controller: see its log",
        )


def check_presence(facts: Facts) -> Findings:
    """Find a cluster in which no broker serves clients."""
    answers = [each.metadata for each in facts.bootstrap if each.metadata is not None]
    if answers and not any(metadata.brokers for metadata in answers):
        yield error(
            "no-brokers",
            "the cluster",
            "a broker answers, and says that none serves clients yet",
            "the brokers are starting, or cut off from the controller: ask again, then see their "
            "logs",
        )


def check_absent(facts: Facts) -> Findings:
    """Find brokers that hold copies of partitions and are not in the cluster now."""
    if facts.overview is None:
        return
    homes = defaultdict[int, int](int)
    for topic in facts.overview.topics:
        for partition in topic.partitions:
            for node in partition.replicas:
                homes[node] += 1
    for node in sorted(homes.keys() - facts.overview.brokers.keys()):
        yield warning(
            "broker-away",
            f"broker {node}",
            f"it is not in the cluster, and has a copy of {homes[node]:,} partitions",
            "start it again, or move its partitions to other brokers (kafka-reassign-partitions)",
        )


def check_later_answers(facts: Facts) -> Findings:
    """Find brokers that answered at first, and then no more."""
    contacts = {each.address: each for each in (*facts.bootstrap, *facts.brokers.values())}
    for address, contact in contacts.items():
        if contact.metadata is not None and contact.failure is not None:
            yield error(
                "broker-stopped",
                f"the broker at {place(address)}",
                f"it answered at first, and a later question had no answer: "
                f"{contact.failure.reason}",
                "ask again; if it is so again, see that broker's log and load",
            )


def check_speed(facts: Facts) -> Findings:
    """Find brokers that answer slowly."""
    for node, contact in facts.brokers.items():
        if contact.metadata is not None and contact.seconds > SLOW_S:
            yield warning(
                "broker-slow",
                f"broker {node} at {place(contact.address)}",
                f"it took {contact.seconds:.1f} s to answer a small question",
                "see its load and garbage collection, and the network between",
            )


def check_controllers(facts: Facts) -> Findings:
    """Find controllers that are away or behind."""
    if facts.overview is not None and facts.overview.controller < 0:
        yield error(
            "no-controller",
            "the cluster",
            "it has no active controller, so nothing can be created and no leader chosen",
            "start the controllers, of which more than a half have to run",
        )
    if facts.quorum_failure is not None:
        yield warning(
            "no-controller",
            "the cluster",
            f"a broker that was asked about the controllers had no answer "
            f"({facts.quorum_failure.reason})",
            "see whether more than a half of the controllers run",
        )
    quorum = facts.quorum
    if quorum is None or (now_ms := quorum.now_ms) is None:
        return
    behind = [
        str(node)
        for node, caught_up_ms in quorum.voters.items()
        if now_ms - caught_up_ms > BEHIND_MS
    ]
    if behind:
        spare = (len(quorum.voters) - 1) // 2 - len(behind)
        yield warning(
            "controller-behind",
            f"controller {some(behind)}",
            f"it has not followed the active controller for {BEHIND_MS // 1000} s or more; "
            f"{max(0, spare)} more may fail before the cluster stands still",
            "start it again, or see its log",
        )


def check_versions(facts: Facts) -> Findings:
    """Find brokers of different versions, and what the cluster does not offer."""
    tables = {
        node: tuple(sorted(contact.versions.apis.items()))
        for node, contact in facts.brokers.items()
        if contact.versions is not None
    }
    if len(set(tables.values())) > 1:
        yield note(
            "mixed-versions",
            "the brokers",
            "they do not speak the same versions of the protocol",
            "if no upgrade is under way, finish it, so that all clients get the same answers",
        )
    features = facts.features
    if not tables:
        return
    if features.get("group.version", 0) < 1:
        yield note(
            "no-new-groups",
            "the cluster",
            "it does not offer the group protocol of KIP-848",
            "only listeners over librdkafka use it, which take the classic one instead; Kafka 4 "
            "offers it (kafka-features upgrade --feature group.version=1)",
        )
    if features.get("transaction.version", 0) < 2:
        yield note(
            "old-transactions",
            "the cluster",
            "its transactions are not those of KIP-890 (transactions v2)",
            "with Kafka 4: kafka-features upgrade --feature transaction.version=2. They leave no "
            "hanging transactions behind",
        )
