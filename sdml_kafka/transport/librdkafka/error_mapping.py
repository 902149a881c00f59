"""Map librdkafka's errors to the package's: who has to act, and whether a restart can help."""

from confluent_kafka import KafkaError

from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    PayloadTooLarge,
    ProducerFailed,
    ProducerFenced,
    RecordRefused,
    SdmlKafkaError,
    SendFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.log_fields import escaped
from sdml_kafka.transport.record_checks import TOPIC_RULE, no_such_topic

MAX_TEXT_CHARS = 300
NO_LOGIN = "Request not valid in current SASL state"
"""librdkafka's words for a broker that takes no login at all."""
BROKEN_OFF = KafkaError(KafkaError._TRANSPORT).str()
"""librdkafka's words for a connection that was lost while an answer was waited for."""
_LOGIN_CUT_OFF = "handshake failed: Local: "
"""Its words for a login that nobody has answered: the broker has ended, or is too slow."""
_ALERT = "SSL alert number"
"""OpenSSL's words for what the other side says."""
_NO_TOKEN = "Failed to acquire SASL OAUTHBEARER token: "
"""librdkafka's words where it gets no token. It asks again in 10 s."""

AUTHORIZATION = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
NO_TOPIC = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART})
ABOUT_RECORDS = frozenset(
    {KafkaError.INVALID_RECORD, KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
)
"""With one of these the broker refuses a batch because of single records in it."""
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = frozenset(
    {
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.INVALID_REQUEST,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
    }
)
"""With one of these a record has not arrived, and would not if it were sent again."""
_NOT_SENT = frozenset(
    {KafkaError._PURGE_QUEUE, KafkaError._QUEUE_FULL, KafkaError._FATAL, KafkaError._STATE}
)
"""With one of these a record has not gone out. With an error that no set names it may have."""
_GROUP_MOVED_ON = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST,
    }
)
_NO_ANSWER = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._WAIT_COORD,
        KafkaError._DESTROY,
        KafkaError._RESOLVE,
    }
)
_PASSES = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_CONTROLLER,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    }
)
"""With one of these a broker says to try again, as while a leader or a coordinator moves. Whether
an error is `retriable`, confluent-kafka knows of transactions alone."""


def shown(error: KafkaError) -> str:
    """Return Kafka's or librdkafka's name of an error, and its text, which may be a broker's."""
    return f"{error.name()}: {escaped(error.str(), MAX_TEXT_CHARS)}"


def is_authorization(error: KafkaError) -> bool:
    return error.code() in AUTHORIZATION


def may_succeed_later(error: KafkaError) -> bool:
    """Return whether a request that failed so may succeed if it is sent again."""
    return bool(error.retriable()) or error.code() in _NO_ANSWER or error.code() in _PASSES


def is_about_token(error: KafkaError) -> bool:
    """Return whether a client could get no token for its login, or no new one."""
    return error.code() == KafkaError._AUTHENTICATION and error.str().startswith(_NO_TOKEN)


def refused_credentials(error: KafkaError) -> AuthenticationFailed | None:
    """Return the package's error if the broker or the client refused to trust the other."""
    text = escaped(error.str(), MAX_TEXT_CHARS)
    if NO_LOGIN in text or _LOGIN_CUT_OFF in text:
        return None
    if is_about_token(error):
        why = text.removeprefix(_NO_TOKEN)
        return AuthenticationFailed(f"There is no token for the login (SASL/OAUTHBEARER): {why}")
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        if "mechanism" in text.lower():
            return AuthenticationFailed(f"The broker has no such sasl.mechanism: {text}")
        return AuthenticationFailed(f"The broker refused the credentials: {text}")
    if error.code() == KafkaError.UNSUPPORTED_SASL_MECHANISM:
        return AuthenticationFailed(f"The broker has no such sasl.mechanism: {text}")
    if _ALERT in text and ("certificate" in text or "unknown ca" in text):
        # Under TLS 1.3 this comes once the handshake is over for the client, as `_TRANSPORT`.
        return AuthenticationFailed(
            f"The broker wants a client's certificate, or does not accept this one: {text}"
        )
    if error.code() == KafkaError._SSL and "certificate" in text.lower():
        return AuthenticationFailed(f"The broker's certificate was not accepted: {text}")
    return None


def may_not_read(error: KafkaError) -> AuthorizationFailed:
    """Return the error of a consumer that may not read its topics or be in its group."""
    return AuthorizationFailed(
        f"The broker does not let this group read: {shown(error)}. Grant READ and DESCRIBE on the "
        "topics and READ on the group, then start again."
    )


def from_commit(error: KafkaError) -> SdmlKafkaError | None:
    """Return the error of a commit, None if another attempt may succeed."""
    if error.code() in _GROUP_MOVED_ON:
        return CommitRejected(f"the group has rebalanced meanwhile ({shown(error)})")
    if is_authorization(error):
        return AuthorizationFailed(
            f"The broker does not let this group commit: {shown(error)}. Grant READ on the group "
            "and the topics, then start again."
        )
    if may_succeed_later(error):
        return None
    return CommitFailed(f"the broker refused the commit: {shown(error)}")


def not_authorized_to_send(topic: str) -> AuthorizationFailed:
    """Return the error of a record for a topic that may not be written to."""
    return AuthorizationFailed(
        f"The broker does not let this client write to {topic!r}: grant WRITE and DESCRIBE on the "
        "topic."
    )


def from_send(error: KafkaError, topic: str, *, creates_topics: bool = True) -> SdmlKafkaError:
    """Return the error of a record that was not acknowledged."""
    code = error.code()
    if code in _TOO_LARGE:
        return PayloadTooLarge(
            f"The record for {topic!r} is larger than the producer's message.max.bytes, or the "
            "broker's, or the topic's max.message.bytes."
        )
    if code in AUTHORIZATION:
        return not_authorized_to_send(topic)
    if code in NO_TOPIC:
        return no_such_topic(topic, may_create=creates_topics)
    if code == KafkaError.TOPIC_EXCEPTION:
        return ConfigurationError(f"The broker does not take {topic!r} for a topic: {TOPIC_RULE}.")
    if code in (KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP) or code in _REFUSED:
        return _refused(error, topic)
    if code in _NOT_SENT or error.fatal():
        return SendFailed(f"The record for {topic!r} was not sent: {shown(error)}.")
    return SendFailed(
        f"The record for {topic!r} may have arrived or not: {shown(error)}.", in_doubt=True
    )


def _refused(error: KafkaError, topic: str) -> RecordRefused:
    text = f"The broker refuses the record for {topic!r}"
    if error.code() == KafkaError.INVALID_TIMESTAMP:
        # An earlier attempt may have been in time, and librdkafka does not say which one this was.
        return RecordRefused(
            f"{text}: its timestamp is further from the broker's clock than the topic's "
            "message.timestamp.before.max.ms and message.timestamp.after.max.ms (1 h by default) "
            "allow. Set the clock of this machine or of the broker right.",
            in_doubt=True,
        )
    if error.code() == KafkaError.INVALID_RECORD:
        return RecordRefused(
            f"{text} (Kafka's error code {error.code()}): it is invalid. A compacted topic takes "
            "no record without a key, and the broker may check records by rules of its own."
        )
    return RecordRefused(f"{text}: {shown(error)}.")


def from_fatal(error: KafkaError) -> SdmlKafkaError:
    """Return the error of a producer that takes no more records."""
    if is_authorization(error):
        return AuthorizationFailed(
            "The broker does not let this client produce (IDEMPOTENT_WRITE on the cluster, WRITE): "
            f"{shown(error)}. Grant it the rights to do so."
        )
    return ProducerFailed(f"the client takes no more records: {shown(error)}")


_FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    }
)
"""With one of these the broker no longer knows the producer of a transaction."""


def from_init(error: KafkaError, id_: str) -> SdmlKafkaError:
    """Return the error of a producer of transactions that no broker has taken up."""
    code = error.code()
    if is_authorization(error):
        return _may_not_transact(error, id_)
    if code == KafkaError.INVALID_TRANSACTION_TIMEOUT:
        return ConfigurationError(
            "'transaction.timeout.ms' is larger than the broker's transaction.max.timeout.ms"
        )
    if code == KafkaError._UNSUPPORTED_FEATURE:
        return ConfigurationError(f"The broker has no transactions: {shown(error)}")
    if error.retriable() or may_succeed_later(error):
        return BrokerUnreachable(
            f"No broker has taken up the transactional id {id_!r} in time ({shown(error)}). Check "
            "that the brokers run: transactions need as many as "
            "transaction.state.log.replication.factor says."
        )
    return from_transaction(error, id_)


def from_transaction(
    error: KafkaError, id_: str, too_long_s: float | None = None
) -> SdmlKafkaError:
    """Return the error of a commit or an abort of a transaction.

    `too_long_s` is for how long it was open, if that is longer than the broker allows.
    """
    if error.code() in _FENCED and error.fatal():
        if too_long_s is not None:
            return ProducerFenced(
                f"The transaction of {id_!r} was open for {too_long_s:.1f} s, which is longer than "
                f"'transaction.timeout.ms', so the broker has aborted it ({shown(error)}). Make "
                "transactions shorter, or give a larger 'transaction.timeout.ms' in "
                "client_options; and give each producer that runs an id of its own."
            )
        return ProducerFenced(
            f"Another producer has taken the transactional id {id_!r}, or the broker has forgotten "
            f"this one ({shown(error)}). Give each producer that runs an id of its own."
        )
    if is_authorization(error):
        return _may_not_transact(error, id_)
    if error.fatal():
        return ProducerFailed(f"the producer of transactions has failed: {shown(error)}")
    if error.txn_requires_abort():
        return TransactionFailed(f"the transaction cannot be committed: {shown(error)}")
    if error.retriable() or may_succeed_later(error):
        return TransactionInDoubt(f"no answer came in time ({shown(error)}): call once more")
    return ProducerFailed(f"the producer of transactions has failed: {shown(error)}")


def _may_not_transact(error: KafkaError, id_: str) -> AuthorizationFailed:
    return AuthorizationFailed(
        f"The broker does not let this client make transactions: {shown(error)}. Grant WRITE and "
        f"DESCRIBE on the transactional id {id_!r}, WRITE on the topics, and READ on the group and "
        "the topics whose offsets are committed."
    )


def from_admin(error: KafkaError, what: str) -> SdmlKafkaError:
    """Return the error of a request about topics or groups; `what` says what was tried."""
    if is_authorization(error):
        return AuthorizationFailed(
            f"The broker does not let this client {what}: {shown(error)}. Grant it the rights to "
            "do so."
        )
    if (refused := refused_credentials(error)) is not None:
        return refused
    if may_succeed_later(error):
        return SendFailed(f"Could not {what}: {shown(error)}", in_doubt=True)
    return ConfigurationError(f"The broker refused to {what}: {shown(error)}")
