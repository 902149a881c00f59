# pyright: basic
# aiokafka is not typed.
"""What aiokafka's errors mean for us: who has to act, and whether a restart can help."""

from aiokafka import errors as kafka

from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    SdmlKafkaError,
)

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


def from_poll(error: BaseException) -> SdmlKafkaError | None:
    """The error that a restart cannot mend; None when it may be one of decoding."""
    if isinstance(error, _AUTHORIZATION):
        return AuthorizationFailed(
            f"The broker does not let this group read: {error!r}. Grant READ and DESCRIBE on the "
            "topics and READ on the group, then start again."
        )
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
            "common one: partition_assignment_strategy=(RangePartitionAssignor,) suits Java's."
        )
    return None


def from_commit(error: BaseException) -> SdmlKafkaError | None:
    """None when it is worth another try."""
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
