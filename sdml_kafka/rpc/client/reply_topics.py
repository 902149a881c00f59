"""The topics in which a client reads its replies: how they are made, and how far it has read."""

from collections.abc import Collection, Mapping, Sequence
from logging import getLogger
from typing import Any, NamedTuple

import anyio
from attrs import define, field, frozen

from sdml_kafka.errors import (
    AuthorizationFailed,
    BrokerUnreachable,
    ConfigurationError,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.health.standing import Outage
from sdml_kafka.log_fields import fields
from sdml_kafka.parsing.parsers import ParserSpec, parse_bytes
from sdml_kafka.parsing.specs import CompiledSpec, compile_specs
from sdml_kafka.rpc.client.request_options import check_positive
from sdml_kafka.transport.interfaces.producer import Producer
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Health, Revocation, Tail
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_of_calls
from sdml_kafka.transport.topic_settings import TopicSettings, as_texts

_log = getLogger("sdml_kafka.rpc")

TOPIC_TIMEOUT_S = 5.0
DELETE_TIMEOUT_S = 1.0


@frozen
class ReplyTopics:
    """The topics that a client reads. Missing ones are created where the broker allows it."""

    specs: Sequence[CompiledSpec]
    """The specs: which parser the replies of which topics have."""
    partitions: int
    retention_s: float
    config: Mapping[str, str]
    """Further settings of topics that are created."""
    deleted_on_leaving: bool
    """True if the topic is the client's own, with a name that nobody else knows."""
    names: frozenset[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        names = frozenset(topic for spec in self.specs for topic in spec.topics)
        object.__setattr__(self, "names", names)

    async def create(self, producer: Producer) -> Exception | None:
        """Create the topics; return why that failed, or None. They may exist all the same.

        Raises:
            ConfigurationError: The broker refuses a topic, for which `reply_topic_config` is given.
        """
        config = {"retention.ms": str(int(self.retention_s * 1000)), **self.config}
        for topic in sorted(self.names):
            try:
                created = await producer.create_topic(
                    topic, self.partitions, config, TOPIC_TIMEOUT_S
                )
            except (AuthorizationFailed, ConfigurationError, SendFailed) as error:
                if self.config and isinstance(error, ConfigurationError):
                    raise ConfigurationError(
                        f"reply_topic_config ({', '.join(self.config)}): {error}"
                    ) from error
                return error
            if created:
                _log.info("created the reply topic %r", topic, extra=fields(topic=topic))
        return None

    async def delete(self, producer: Producer) -> None:
        """Delete the topics, as far as that works in a second."""
        with anyio.move_on_after(DELETE_TIMEOUT_S, shield=True):
            for topic in self.names:
                try:
                    await producer.delete_topic(topic, DELETE_TIMEOUT_S)
                except (AuthorizationFailed, SendFailed, BrokerUnreachable) as error:
                    extra = fields(topic=topic, error=error)
                    _log.warning(
                        "the reply topic %r was not deleted: %s", topic, error, extra=extra
                    )


class ReplyTopicSpec(NamedTuple):
    """A program's settings for the reply topics, beside its parsers; see `KafkaRPC`."""

    name: str | None
    partitions: int
    retention_s: float
    config: TopicSettings | None


def choose_reply_topics(
    parsers: Sequence[ParserSpec[Any]], options: ReplyTopicSpec, own_name: str
) -> ReplyTopics:
    """Return the topics that the parsers name; without parsers one topic of raw bytes.

    Raises:
        ConfigurationError: What was given does not go together, or cannot work.
    """
    reply_topic = options.name
    if options.config and (parsers or reply_topic is not None):
        raise ConfigurationError(
            "reply_topic_config is for the topic that a client creates for itself. Create the "
            f"topics of {'parsers' if parsers else 'reply_topic'} with these settings, or leave "
            "them out."
        )
    if reply_topic is not None:
        if parsers:
            raise ConfigurationError(
                "reply_topic is for a client without parsers, which name their topics themselves"
            )
        if not is_topic_of_calls(reply_topic):
            raise ConfigurationError(
                f"reply_topic {reply_topic!r:.300} cannot be a topic for replies: {TOPIC_RULE}; "
                "names that begin with '__' are Kafka's own"
            )
    if type(options.partitions) is not int:
        raise ConfigurationError(
            f"reply_partitions is a whole number, not {options.partitions!r:.80}"
        )
    raw: ParserSpec[bytes] = {
        "topics": [reply_topic or own_name],
        "type": bytes,
        "parser": parse_bytes,
    }
    return ReplyTopics(
        compile_specs(parsers or [raw]),
        check_positive("reply_partitions", options.partitions),
        check_positive("reply_retention", options.retention_s),
        as_texts("reply_topic_config", {} if options.config is None else options.config),
        deleted_on_leaving=not parsers and reply_topic is None,
    )


def missing_topics(topics: Collection[str], reason: Exception | None) -> TopicMissing:
    """Return the error for topics that do not exist and were not created, for this reason."""
    error = TopicMissing(
        f"There is no reply topic {quoted(topics)}, and it could not be created"
        f"{'' if reason is None else f' ({reason})'}: create it, or let the client do so."
    )
    error.__cause__ = reason
    return error


def quoted(topics: Collection[str]) -> str:
    """Return the names of topics as errors show them."""
    return ", ".join(sorted(map(repr, topics)))


@define(eq=False)
class Reading:
    """How a client reads its replies. It outlives the reply loop, which alone changes it."""

    share: int | None
    """With `own_partition`, the number that picks the one partition of each topic to fetch."""
    may_grow: bool
    """True if somebody else may add partitions, to which servers reply before they are read."""
    turn: int
    """The number that picks, out of the partitions that are read, the one to ask for replies in."""
    partitions: frozenset[TopicPartition] = field(default=frozenset(), init=False)
    """The partitions that the client reads right now."""
    positions: dict[TopicPartition, int] = field(factory=dict[TopicPartition, int], init=False)
    """The offsets to go on at, also of partitions that the client is to get back."""
    health: Health = field(default=Health(False, {}), init=False)
    outage: Outage = field(factory=Outage, init=False)
    """Since when no broker can be reached."""
    was_opened: bool = field(default=False, init=False)
    """True if all of the topics have existed at once."""
    trouble: Exception | None = field(default=None, init=False)
    """Why replies may not come though there is a connection; None while all is well."""
    _revoked: frozenset[TopicPartition] = field(default=frozenset(), init=False)
    """The partitions that were revoked since the last assignment."""

    def own_partition(self, topic: str) -> int | None:
        """Return the only partition of this topic that is read; None if none is."""
        return next((own.partition for own in self.partitions if own.topic == topic), None)

    def common_partition(self, topics: Collection[str]) -> int | None:
        """Return the partition of each of these topics to ask servers to reply to.

        None stands for no matter which: nobody adds partitions, or there is none that is read in
        all of the topics.
        """
        if not self.may_grow:
            return None
        numbers = [
            {own.partition for own in self.partitions if own.topic == each} for each in topics
        ]
        common = sorted(set[int].intersection(*numbers))
        return common[self.turn % len(common)] if common else None

    def some_partition(self, topic: str) -> int | None:
        """Return one of the partitions of this topic that are read; None if none is."""
        own = sorted(own.partition for own in self.partitions if own.topic == topic)
        return own[self.turn % len(own)] if own else None

    def tail(self) -> Tail:
        """Return where a new consumer has to begin."""
        return Tail(dict(self.positions), self.share)

    def begin_with_consumer(self) -> None:
        """Note that the first assignment of a new consumer adds to nothing, whatever it says."""
        self._revoked = self.partitions

    def note_revoked(self, revocation: Revocation) -> None:
        """Note what the next assignment need not bring back, until which it counts as read."""
        self._revoked |= revocation.partitions

    def after(self, assignment: Assignment) -> frozenset[TopicPartition]:
        """Return the partitions that are read from this assignment on."""
        kept = self.partitions - self._revoked if assignment.adds else frozenset[TopicPartition]()
        return kept.union(assignment.positions)

    def follow(self, assignment: Assignment) -> None:
        """Read the partitions of this assignment from now on."""
        self.partitions, self._revoked = self.after(assignment), frozenset()
        self.positions.update(assignment.positions)

    def begin_anew(self, topics: Collection[str]) -> None:
        """Read topics that were deleted from their beginning, once they exist again."""
        gone = [place for place in self.positions if place.topic in topics]
        self.positions.update(dict.fromkeys(gone, 0))
