"""Which errors of a consumer no waiting mends, and what the program is told of them."""

from confluent_kafka import KafkaError

from sdml_kafka.errors import (
    ConfigurationError,
    ConsumerFailed,
    GroupFull,
    JoinTimeout,
    SdmlKafkaError,
)
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.rules.start_rules import NoStart

_NO_VERSION = "API version not supported"
_OF_A_FATAL_ERROR = {
    KafkaError(code).str(): code
    for code in (
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.GROUP_ID_NOT_FOUND,
    )
}
"""The texts by which a fatal error names the one that has caused it, with the codes of these."""


def lacks_consumer_protocol(error: KafkaError) -> bool:
    """Return whether the broker does not have the group protocol of KIP-848."""
    return error.code() == KafkaError._FATAL and _NO_VERSION in error.str()


def _code_of(error: KafkaError) -> int:
    """Return the code of an error, of a fatal one that of its cause if that can be told."""
    if error.code() != KafkaError._FATAL:
        return error.code()
    text = error.str()
    causes = (code for named, code in _OF_A_FATAL_ERROR.items() if named in text)
    return next(causes, KafkaError._FATAL)


def final(error: KafkaError, group: str = "") -> SdmlKafkaError | None:
    """Return the error that ends a consumer, None for one that waiting may mend."""
    code, shown = _code_of(error), error_mapping.shown(error)
    if code in error_mapping.AUTHORIZATION:
        return error_mapping.may_not_read(error)
    if is_full(error) and error.code() == KafkaError._FATAL:
        return group_full(group, error)
    if code == KafkaError._AUTO_OFFSET_RESET:
        return ConfigurationError(
            f"{shown}: the offset to be read next is gone from the topic (retention) and "
            "auto_offset_reset is 'none'. Set it to 'earliest' or 'latest'."
        )
    if code == KafkaError.INVALID_SESSION_TIMEOUT:
        return ConfigurationError(
            "'session.timeout.ms' is outside of what the broker allows "
            "(group.min.session.timeout.ms to group.max.session.timeout.ms)."
        )
    if code == KafkaError.INCONSISTENT_GROUP_PROTOCOL:
        return ConfigurationError(
            "The group has members with which this one shares no assignor. Give all of them a "
            "common one: 'partition.assignment.strategy': 'range' suits aiokafka's and Java's."
        )
    if lacks_consumer_protocol(error):
        return ConfigurationError(
            "The broker does not have the group protocol of KIP-848 (Kafka 4.0 and later): leave "
            "'group.protocol' out of client_options."
        )
    if code == KafkaError.GROUP_ID_NOT_FOUND and error.code() == KafkaError._FATAL:
        return ConfigurationError(
            "The group has members of the classic protocol, and the broker's "
            "group.consumer.migration.policy does not let it change to that of KIP-848: give "
            "'group.protocol': 'classic' in client_options."
        )
    if code == KafkaError._FATAL or error.fatal():
        return ConsumerFailed(f"the client has failed: {shown}")
    return error_mapping.refused_credentials(error)


def is_full(error: KafkaError) -> bool:
    """Return whether the group has no room for the member."""
    return _code_of(error) == KafkaError.GROUP_MAX_SIZE_REACHED


def group_full(group: str, error: KafkaError) -> GroupFull:
    """Return the error of a member for which its group has no room."""
    return GroupFull(
        f"The group {group!r} is full: it has as many members as group.max.size on the "
        "broker allows, or in a group of KIP-848 group.consumer.max.size. Raise that, or run fewer "
        f"members. ({error_mapping.shown(error)})"
    )


def passed_over(group: str) -> JoinTimeout:
    """Return the error of a member of KIP-848 that the group's coordinator seems not to know."""
    return JoinTimeout(
        f"The coordinator of the group {group!r} answers, and does not take the member. Kafka "
        "before 4.0 has no groups of KIP-848: give 'group.protocol': 'classic' in client_options "
        "there. Later ones let a static member ('group.instance.id') in once the session of a "
        "former one of its name is over."
    )


def no_start(none: NoStart) -> ConfigurationError:
    """Return the error of a partition that has nowhere to begin."""
    topic, number = none.partition
    if none.committed is None:
        return ConfigurationError(
            f"{topic!r} partition {number}: the group has no committed offset and "
            "auto_offset_reset is 'none'. Set it to 'earliest' or 'latest', or commit an offset "
            "for the group first."
        )
    return ConfigurationError(
        f"{topic!r} partition {number}: the committed offset {none.committed} is gone from the "
        "topic (retention) and auto_offset_reset is 'none'. Set it to 'earliest' or 'latest'."
    )
