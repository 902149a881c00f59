"""The facts that were found out about a Kafka, as the rules read them. Pure."""

from collections.abc import Mapping
from math import isfinite

from attrs import field, frozen

from sdml_kafka.transport.inspection.brokers import Config, Metadata, Quorum, Topic, Versions
from sdml_kafka.transport.inspection.groups import Committed, Coordinator, Group
from sdml_kafka.transport.inspection.logs import Place
from sdml_kafka.transport.interfaces.inspection import Address
from sdml_kafka.transport.interfaces.records import TopicPartition


@frozen
class Failure:
    """The reason for which there was no answer."""

    reason: str
    is_credentials: bool = False
    """True if the broker or the client refused to trust the other."""


@frozen
class Contact:
    """An address that was asked for its versions and its metadata."""

    address: Address
    failure: Failure | None = None
    """The reason for which there was no answer; with `metadata`, none to a later question."""
    versions: Versions | None = None
    metadata: Metadata | None = None
    seconds: float = 0.0
    """The seconds that a request took on a connection that was there."""
    config: Config | None = None
    """The broker's settings, None if there was no answer."""


@frozen
class Clock:
    """The difference between the clock of the active controller and ours."""

    ahead_s: float
    """Seconds that the controller's clock is ahead of ours."""
    within_s: float
    """Seconds by which that may be wrong."""


@frozen
class GroupLook:
    """A group at one moment."""

    group: Group
    committed: Committed


@frozen
class GroupFacts:
    """A group, as its coordinator and the leaders of its partitions have it."""

    name: str
    coordinator: Coordinator | None = None
    failure: Failure | None = None
    """The reason for which the coordinator, which was named, did not answer."""
    looks: tuple[GroupLook, ...] = ()
    """One look, or two with `apart_s` between them."""
    apart_s: float = 0.0
    config: Config | None = None
    """The group's own settings, with KIP-848."""
    transactions_error: int | None = None
    """Kafka's error for a transactional id as processors with `exactly_once` take it, or 0; None if
    there was no answer."""


@frozen
class Ours:
    """The settings of a listener and of a producer with the options that were given."""

    consumer: Mapping[str, object] = field(factory=dict[str, object])
    producer: Mapping[str, object] = field(factory=dict[str, object])
    assignor: str = "roundrobin"
    """The name of the way in which our listeners share out partitions."""

    def number(self, name: str) -> int:
        """Return an option that is a number, 0 if it is none, without an end, or not there."""
        value = self.consumer.get(name, self.producer.get(name))
        return int(value) if isinstance(value, int | float) and isfinite(value) else 0


@frozen
class Facts:
    """Everything that was found out."""

    bootstrap: tuple[Contact, ...] = ()
    brokers: Mapping[int, Contact] = field(factory=dict[int, Contact])
    """The brokers at the addresses that they advertise."""
    overview: Metadata | None = None
    """All topics that this client may see; None if no broker answered."""
    named: tuple[str, ...] = ()
    """The topics that were asked for, and those of the group."""
    wanted: tuple[Topic, ...] = ()
    """The topics of these names."""
    rights: int | None = None
    """The operations on the cluster that this client may do; None if that is not known."""
    configs: Mapping[str, Config] = field(factory=dict[str, Config])
    """The settings of the wanted topics."""
    ends: Mapping[TopicPartition, Place] = field(factory=dict[TopicPartition, Place])
    """The ends of the logs of the wanted topics."""
    stable_ends: Mapping[TopicPartition, Place] = field(factory=dict[TopicPartition, Place])
    """The ends of these logs for those who read only what was committed."""
    beginnings: Mapping[TopicPartition, Place] = field(factory=dict[TopicPartition, Place])
    latest: Mapping[TopicPartition, Place] = field(factory=dict[TopicPartition, Place])
    """The latest times of their records."""
    quorum: Quorum | None = None
    quorum_failure: Failure | None = None
    """The reason for which there was no answer about the controllers."""
    clock: Clock | None = None
    now_ms: int = 0
    """Our clock as the examination ended, in milliseconds since the epoch."""
    group: GroupFacts | None = None
    ours: Ours = Ours()

    @property
    def features(self) -> Mapping[str, int]:
        """The features that the cluster uses, as the first broker that answered says."""
        for contact in (*self.bootstrap, *self.brokers.values()):
            if contact.versions is not None and contact.versions.apis:
                return contact.versions.features
        return {}

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of a broker, empty if this client may not see them."""
        for contact in self.brokers.values():
            if contact.config is not None and contact.config.values:
                return contact.config.values
        return {}
