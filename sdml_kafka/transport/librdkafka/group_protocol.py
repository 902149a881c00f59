"""Choose the group protocol of a consumer, from what its configuration says. Pure.

By default it is that of KIP-848 where the broker has it (Kafka 4.0 and later), else the classic one
with the assignor `cooperative-sticky`. Both leave alone what does not move.
"""

from attrs import field, frozen

from sdml_kafka.transport.interfaces.reports import Membership
from sdml_kafka.transport.librdkafka.option_names import CLASSIC_GROUPS
from sdml_kafka.transport.librdkafka.options import SESSION_MS, Settings

PROTOCOL = "group.protocol"
STRATEGY = "partition.assignment.strategy"
COOPERATIVE = "cooperative-sticky"
SESSION, POLL_INTERVAL = "session.timeout.ms", "max.poll.interval.ms"
STATIC_NAME = "group.instance.id"
POLL_INTERVAL_MS = 300_000
"""librdkafka's default."""


@frozen
class GroupProtocol:
    """How the member joins its group."""

    settings: Settings = field(repr=False)  # some of which are secrets
    """The configuration of the member."""
    fallback: Settings | None = field(repr=False)
    """The configuration to take if the broker does not have the protocol, None for none."""
    is_incremental: bool
    """True if partitions come and go while others stay."""
    decided_by: tuple[str, ...] = ()
    """The options that stand for the classic protocol, where `group.protocol` was not given."""


def group_protocol(settings: Settings) -> GroupProtocol:
    """Return how the member of a group joins it."""
    protocol = str(settings.get(PROTOCOL, "")).lower()
    if protocol == "consumer":
        return GroupProtocol(settings, None, True)
    strategy = str(settings.get(STRATEGY, COOPERATIVE))
    session_ms = min(SESSION_MS, int(settings.get(POLL_INTERVAL, POLL_INTERVAL_MS)))
    classic = {SESSION: session_ms, **settings, STRATEGY: strategy}
    of_classic = tuple(sorted(CLASSIC_GROUPS.intersection(settings)))
    if protocol == "classic" or of_classic:
        decided_by = () if protocol else of_classic
        return GroupProtocol(classic, None, "cooperative" in strategy, decided_by)
    return GroupProtocol({**settings, PROTOCOL: "consumer"}, classic, True)


def membership_of(settings: Settings) -> Membership:
    """Return how a member with this configuration is in its group."""
    if str(settings.get(PROTOCOL, "")).lower() == "consumer":
        return Membership("consumer")
    return Membership("classic", int(settings[SESSION]) / 1000)


def without_group(settings: Settings) -> Settings:
    """Return the configuration of a client that joins no group."""
    names = CLASSIC_GROUPS | {PROTOCOL, POLL_INTERVAL, STATIC_NAME}
    return {name: value for name, value in settings.items() if name not in names}
