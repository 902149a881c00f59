"""Every exception of this package: the class says who has to act, the text says what to do."""

from collections.abc import Mapping
from typing import cast

from sdml_kafka.runtime.errors import RestartsExhausted, StartTimeout

__all__ = [
    "AdvertisedAddressUnreachable",
    "AuthenticationFailed",
    "AuthorizationFailed",
    "BrokerUnreachable",
    "CallIdInUse",
    "CallTimeout",
    "ClientClosed",
    "ClientNotStarted",
    "CommitFailed",
    "CommitRejected",
    "ConfigurationError",
    "ConsumerFailed",
    "CoordinatorUnavailable",
    "DocumentInvalid",
    "EnteredBeforeFork",
    "GroupFull",
    "GroupShared",
    "JoinTimeout",
    "OffsetBeyondEnd",
    "ParseFailed",
    "PayloadTooLarge",
    "ProducerFailed",
    "ProducerFenced",
    "RecordRefused",
    "RemoteError",
    "RemoteTimeout",
    "ReplyInvalid",
    "RestartsExhausted",
    "SchemaRefused",
    "SchemaUnknown",
    "SdmlKafkaError",
    "SeekFailed",
    "SendFailed",
    "StartTimeout",
    "StreamBroken",
    "StreamBusy",
    "TooManyDeadLetters",
    "TopicMissing",
    "TransactionFailed",
    "TransactionInDoubt",
    "UnknownType",
]


class SdmlKafkaError(Exception):
    """The base of every error that this package defines, except those of `sdml_kafka.runtime`."""


class ConfigurationError(SdmlKafkaError, ValueError):
    """The program passed something that cannot work, so the program has to be changed."""


class UnknownType(ConfigurationError):
    """No parser yields the type that was subscribed to."""


class ClientNotStarted(SdmlKafkaError):
    """The client was used before it was entered."""


class ClientClosed(SdmlKafkaError):
    """The client was used after it was left."""


class EnteredBeforeFork(ClientClosed):
    """The client was entered by the process that this one was forked from, which still has it.

    Its connections and tasks belong to that process. What was made before a fork may be entered
    after it, in each process.
    """


class StreamBusy(SdmlKafkaError):
    """Two tasks pull one stream by hand, where each needs a loop of its own."""


class ParseFailed(SdmlKafkaError):
    """A parser raised, or returned another type than its spec says. The cause is that error."""


class DocumentInvalid(SdmlKafkaError, ValueError):
    """A record's value does not fit the type that its parser makes."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        """Describe what is wrong.

        Args:
            fields: What is wrong with each field, by its path, such as `lines[2].price`. The path
                of the document itself is empty.
        """
        super().__init__(fields)
        self.fields: Mapping[str, str] = fields

    def __str__(self) -> str:
        """Return each field with what is wrong."""
        return "; ".join(f"{path}: {why}" if path else why for path, why in self.fields.items())


class SchemaUnknown(SdmlKafkaError, LookupError):
    """The schema registry does not know a schema that a record or a serializer names."""


class SchemaRefused(SdmlKafkaError, ValueError):
    """A schema is of no use: too large, not valid, of another format than the type takes.

    A registry refuses one that it cannot register as well, such as one that is not compatible.
    """


class TooManyDeadLetters(SdmlKafkaError):
    """More records failed than the limits of `DeadLetter` allow. The cause is the last error."""


class BrokerUnreachable(SdmlKafkaError, ConnectionError):
    """No broker answered in time: check the address, the network and the broker."""


class AdvertisedAddressUnreachable(BrokerUnreachable):
    """A broker answered, and the address that it gives to clients cannot be reached from here.

    The text names the address. It is set by `advertised.listeners` on the broker.
    """


class JoinTimeout(SdmlKafkaError, TimeoutError):
    """The group did not finish its rebalance in time; one of its members may hold it up."""


class CoordinatorUnavailable(JoinTimeout):
    """The group has no coordinator that can be reached, so nobody can join it.

    The text says which broker that is, or what the brokers lack. The cause is the broker's error.
    """


class GroupFull(JoinTimeout):
    """The group has as many members as the broker's `group.max.size` allows."""


class AuthenticationFailed(SdmlKafkaError):
    """The broker refused the credentials. A restart cannot mend this."""


class AuthorizationFailed(SdmlKafkaError):
    """The broker's ACLs do not allow what the program does. A restart cannot mend this."""


class CommitFailed(SdmlKafkaError):
    """A commit did not go through, or its outcome is not known. Its records may come again."""


class SeekFailed(SdmlKafkaError):
    """Reading of a partition was not moved: it is not assigned here, or no broker answered."""


class OffsetBeyondEnd(SeekFailed):
    """An offset lies beyond the end of its partition's log, so no partition was moved."""


class CommitRejected(CommitFailed):
    """The group has moved on: the partitions of this commit belong to a later assignment."""


class ConsumerFailed(SdmlKafkaError):
    """The Kafka consumer died or misbehaved. Its actor is restarted with a new consumer."""


class ProducerFailed(SdmlKafkaError):
    """The Kafka producer died or misbehaved. Its actor is restarted with a new producer."""


class ProducerFenced(ProducerFailed):
    """Another producer has taken the transactional id, or the broker has given up on this one.

    Whatever its open transaction holds is never read by those who read committed records.
    """


class TransactionFailed(SdmlKafkaError):
    """A transaction cannot be committed: nothing of it has happened, and nothing will."""


class TransactionInDoubt(SdmlKafkaError):
    """No broker has said in time what became of a transaction: it happens as a whole or not."""


class SendFailed(SdmlKafkaError):
    """A record was not acknowledged.

    Attributes:
        in_doubt: Whether the record may have arrived all the same.
    """

    def __init__(self, text: str, *, in_doubt: bool = False) -> None:
        super().__init__(text)
        self.in_doubt = in_doubt


class TopicMissing(SendFailed):
    """The topic does not exist, and the broker does not create topics by itself."""


class PayloadTooLarge(SendFailed):
    """The record is larger than the producer or the broker allows."""


class RecordRefused(SendFailed):
    """The broker refuses the record, and would do so again; the text gives the broker's reason."""


class CallTimeout(SdmlKafkaError, TimeoutError):
    """The deadline of a call passed. The cause is the last trouble with the broker, if any."""


class CallIdInUse(ConfigurationError):
    """The correlation id belongs to a call that is still waiting."""


class GroupShared(ConfigurationError):
    """Other members of the client's group have some of the client's reply partitions.

    The text names the group and the topics.
    """


class ReplyInvalid(SdmlKafkaError):
    """The reply did not parse, or parsed to another type than the call expects."""


class StreamBroken(SdmlKafkaError):
    """Some of the replies of a stream are missing."""


class RemoteError(SdmlKafkaError):
    """The server answered with an error. A handler raises this error to choose the status itself.

    Attributes:
        status: `invalid_argument`, `not_found`, `internal`, `deadline_exceeded`, `unavailable`, or
            a word of the server's own: ASCII letters, digits, `_`, `-`, `.`, at most 64.
        text: What went wrong, for people.
        received: Whether the error came from a server. A handler that calls another server and
            lets its error through answers `internal`.
    """

    def __init__(self, status: str, text: str = "") -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.received = False

    def __str__(self) -> str:
        # The text is a stranger's, and may end up in a log or on a terminal.
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in self.text)
        return f"{self.status}: {text}" if text else self.status


class RemoteTimeout(RemoteError, CallTimeout):
    """The server noticed the deadline before the client did: the status is `deadline_exceeded`.

    Which of them is first is a matter of chance: `except CallTimeout` covers both.
    """


def unwrapped(error: BaseException) -> BaseException:
    """Return what a task group raised for one of its tasks alone, any other error as it is."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    return unwrapped(group.exceptions[0]) if len(group.exceptions) == 1 else group
