# pyright: basic
# aiokafka is not typed.
"""Map aiokafka's errors to the package's: who has to act, and whether a restart can help."""

from aiokafka import errors as kafka

from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    PayloadTooLarge,
    ProducerFailed,
    RecordRefused,
    SdmlKafkaError,
    SendFailed,
)
from sdml_kafka.transport.record_checks import no_such_topic, not_bytes

_AUTHORIZATION = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
)
_GROUP_MOVED_ON = (
    kafka.UnknownMemberIdError,
    kafka.IllegalGenerationError,
    kafka.RebalanceInProgressError,
    kafka.CommitFailedError,
)
_TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError)
_REFUSED = (
    kafka.InvalidRequiredAcksError,
    kafka.InvalidRequestError,
    kafka.UnsupportedForMessageFormatError,
    kafka.PolicyViolationError,
    kafka.UnsupportedVersionError,
    kafka.IncompatibleBrokerVersion,
)
"""With one of these a record has not arrived, and would not if it were sent again."""
_NOT_SENT = (
    kafka.ProducerClosed,
    kafka.KafkaTimeoutError,  # out of `send`: no room for another batch
    kafka.CorruptRecordException,  # on its way, perhaps
)
"""With one of these a record has not arrived. With an error that no tuple names it may have."""
_BAD_RECORD = (
    AssertionError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    OverflowError,
)
INVALID_RECORD = 87
UNSUPPORTED_COMPRESSION = 76
_OUT_OF_STEP = (
    kafka.OutOfOrderSequenceNumber,
    kafka.UnknownProducerId,
    kafka.InvalidProducerEpoch,
    kafka.ProducerFenced,
)
_FENCED = (
    kafka.InvalidProducerEpoch,
    kafka.InvalidProducerIdMapping,
    kafka.InvalidTxnState,
    kafka.ProducerFenced,
)
"""With one of these the broker has ended a producer's transaction: the next producer did, or time.

Which one it is depends on the request that meets the end, and on how far the end has come.
"""


class BatchRefused(Exception):
    """The broker's answer to a batch, where aiokafka's own error would say less.

    Attributes:
        code: Kafka's code of the error.
        error: What aiokafka calls it.
        in_doubt: Whether the batch may have arrived all the same, at an earlier attempt.
    """

    def __init__(self, code: int, error: Exception, *, in_doubt: bool) -> None:
        super().__init__(code, error)
        self.code = code
        self.error = error
        self.in_doubt = in_doubt


def batch_refused(code: int, *, is_first_attempt: bool) -> BatchRefused | None:
    """Return the error of a batch that was answered with this code, None if aiokafka's will do."""
    error = kafka.for_code(code)
    if error is kafka.UnknownError:
        is_unknown = code == kafka.UnknownError.errno
        return None if is_unknown else BatchRefused(code, error(), in_doubt=False)
    # An earlier attempt was in step perhaps, or in time.
    if issubclass(error, (*_OUT_OF_STEP, kafka.InvalidTimestampError)):
        return BatchRefused(code, error(), in_doubt=not is_first_attempt)
    return None


def from_poll(error: BaseException) -> SdmlKafkaError | None:
    """Return the error if no restart can mend it, None if it may be an error of decoding."""
    if isinstance(error, _AUTHORIZATION):
        return may_not_read(error)
    if isinstance(error, kafka.SaslAuthenticationFailed):
        return AuthenticationFailed(f"The broker refused the credentials: {error!r}.")
    if isinstance(error, kafka.NoOffsetForPartitionError):
        return ConfigurationError(
            f"{error!r}: the group has no committed offset and auto_offset_reset is 'none'. "
            "Set it to 'earliest' or 'latest', or commit an offset for the group first."
        )
    if isinstance(error, kafka.OffsetOutOfRangeError):
        return ConfigurationError(
            f"{error!r}: the committed offset is gone from the topic (retention) and "
            "auto_offset_reset is 'none'. Set it to 'earliest' or 'latest'."
        )
    if isinstance(error, kafka.InvalidSessionTimeoutError):
        return ConfigurationError(
            "session_timeout_ms is outside of what the broker allows "
            "(group.min.session.timeout.ms to group.max.session.timeout.ms)."
        )
    if isinstance(error, kafka.InconsistentGroupProtocolError):
        return ConfigurationError(
            "The group has members with which this one shares no assignor. Give all of them a "
            "common one: partition_assignment_strategy=(RangePartitionAssignor,) suits Java's. A "
            "group of KIP-848 takes it if the broker's group.consumer.migration.policy lets it."
        )
    return None


def may_not_read(error: BaseException) -> AuthorizationFailed:
    """Return the error of a consumer that may not read its topics or be in its group."""
    denied = AuthorizationFailed(
        f"The broker does not let this group read: {error!r}. Grant READ and DESCRIBE on the "
        "topics and READ on the group, then start again."
    )
    denied.__cause__ = error
    return denied


def from_commit(error: BaseException) -> SdmlKafkaError | None:
    """Return the error of a commit, None if another attempt may succeed."""
    if isinstance(error, _GROUP_MOVED_ON):
        return CommitRejected(f"the group has rebalanced meanwhile ({error!r})")
    if isinstance(error, _AUTHORIZATION):
        return AuthorizationFailed(
            f"The broker does not let this group commit: {error!r}. Grant READ on the group and "
            "the topics, then start again."
        )
    if isinstance(error, kafka.KafkaError) and error.retriable:
        return None
    return CommitFailed(f"the broker refused the commit: {error!r}")


def is_authorization(error: BaseException | None) -> bool:
    return isinstance(error, _AUTHORIZATION)


def is_out_of_step(error: BaseException | None) -> bool:
    """Return whether broker and producer count differently, so that it has to be replaced."""
    if isinstance(error, BatchRefused):
        error = error.error
    return isinstance(error, _OUT_OF_STEP)


def is_about_records(error: BaseException | None) -> bool:
    """Return whether single records of a batch may be to blame for its refusal."""
    if isinstance(error, BatchRefused):
        return error.code == INVALID_RECORD
    return isinstance(error, _TOO_LARGE)


def is_about_time(error: BaseException | None) -> bool:
    """Return whether a batch that did not arrive was refused because of its timestamps."""
    if not isinstance(error, BatchRefused) or error.in_doubt:
        return False
    return isinstance(error.error, kafka.InvalidTimestampError)


def is_without_leader(error: BaseException | None) -> bool:
    """Return whether a batch waited in vain for its partition to have a leader."""
    return isinstance(error, kafka.NotLeaderForPartitionError | kafka.LeaderNotAvailableError)


def is_too_large(error: BaseException | None) -> bool:
    return isinstance(error, _TOO_LARGE)


def larger_than_request(topic: str, size: int, most: int) -> PayloadTooLarge:
    """Return the error of a record of `size` bytes, of which the client admits `most`."""
    return PayloadTooLarge(
        f"The record for {topic!r} takes {size:,} bytes, more than the producer's max_request_size "
        f"({most:,})."
    )


def not_authorized_to_send(topic: str) -> AuthorizationFailed:
    """Return the error of a record for a topic that may not be written to."""
    return AuthorizationFailed(
        f"The broker does not let this client write to {topic!r}: grant WRITE and DESCRIBE on the "
        "topic."
    )


def from_send(error: BaseException, topic: str) -> SdmlKafkaError:
    """Return the error of a record that was not acknowledged."""
    if is_too_large(error):
        return PayloadTooLarge(
            f"The broker refuses the record for {topic!r}, which is larger than the topic's "
            "max.message.bytes, or than the broker's message.max.bytes where the topic has none."
        )
    if isinstance(error, _AUTHORIZATION):
        return not_authorized_to_send(topic)
    if isinstance(error, kafka.UnknownTopicOrPartitionError):
        return no_such_topic(topic)
    if isinstance(error, kafka.InvalidTopicError):
        return ConfigurationError(f"The broker does not take {topic!r} for a topic: {error!r}.")
    if isinstance(error, _BAD_RECORD):
        return not_bytes(topic, f" ({type(error).__name__}: {error})")
    if isinstance(error, BatchRefused):
        return _from_refusal(error, topic)
    if isinstance(error, _REFUSED):
        return RecordRefused(f"The broker refuses the record for {topic!r}: {error!r}.")
    if isinstance(error, _NOT_SENT):
        return SendFailed(f"The record for {topic!r} was not sent: {error!r}.")
    return SendFailed(
        f"The record for {topic!r} may have arrived or not: {error!r}.", in_doubt=True
    )


def is_fenced(error: BaseException) -> bool:
    """Return whether the broker has ended the transaction in which this happened."""
    return isinstance(error, _FENCED)


def from_transaction(error: BaseException) -> ProducerFailed:
    """Return the error of a transaction that was not committed."""
    if is_fenced(error):
        return ProducerFailed(
            "another one with the same transactional id has begun, or the transaction took longer "
            f"than the broker waits ({error!r})"
        )
    if isinstance(error, kafka.UnknownError):
        # Kafka 4.4 answers so to a commit that comes while it hands the id to another producer.
        return ProducerFailed(
            "the broker has not said what became of the transaction. Perhaps another one with the "
            f"same transactional id has begun ({error!r})"
        )
    return ProducerFailed(f"the transaction was not committed: {error!r}")


def _from_refusal(refusal: BatchRefused, topic: str) -> SendFailed:
    if is_out_of_step(refusal):
        return SendFailed(
            f"The record for {topic!r} was not sent: the broker expects other sequence numbers of "
            f"this producer ({refusal.error!r}).",
            in_doubt=refusal.in_doubt,
        )
    if isinstance(refusal.error, kafka.InvalidTimestampError):
        return RecordRefused(
            f"The broker refuses the record for {topic!r}: its timestamp is further from the "
            "broker's clock than the topic's message.timestamp.before.max.ms and "
            "message.timestamp.after.max.ms (1 h by default) allow. Set the clock of this machine "
            f"or of the broker right. ({refusal.error!r})",
            in_doubt=refusal.in_doubt,
        )
    if refusal.code == INVALID_RECORD:
        why = (
            "it is invalid. A compacted topic takes no record without a key, and the broker may "
            "check records by rules of its own"
        )
    elif refusal.code == UNSUPPORTED_COMPRESSION:
        why = "it does not support the producer's compression_type"
    else:
        why = "see Kafka's protocol for the meaning of the code"
    return RecordRefused(
        f"The broker refuses the record for {topic!r} (Kafka's error code {refusal.code}): {why}."
    )


def from_admin(error: BaseException, what: str) -> SdmlKafkaError:
    """Return the error of a request about topics or groups; `what` says what was tried."""
    if isinstance(error, _AUTHORIZATION):
        return AuthorizationFailed(
            f"The broker does not let this client {what}: {error!r}. Grant it the rights to do so."
        )
    if isinstance(error, kafka.SaslAuthenticationFailed):
        return AuthenticationFailed(f"The broker refused the credentials: {error!r}.")
    if isinstance(error, kafka.BrokerResponseError) and not error.retriable:
        return ConfigurationError(f"The broker refused to {what}: {error}")
    return SendFailed(f"Could not {what}: {error!r}", in_doubt=True)
