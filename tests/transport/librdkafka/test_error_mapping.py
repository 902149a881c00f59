"""Which of the package's errors stands for which of librdkafka's."""

import pytest
from confluent_kafka import KafkaError

from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    PayloadTooLarge,
    ProducerFailed,
    ProducerFenced,
    RecordRefused,
    SdmlKafkaError,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.transport.librdkafka import error_mapping


@pytest.mark.parametrize(
    ("code", "kind", "in_doubt"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, PayloadTooLarge, False),
        (KafkaError.RECORD_LIST_TOO_LARGE, PayloadTooLarge, False),
        (KafkaError._UNKNOWN_TOPIC, TopicMissing, False),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing, False),
        (KafkaError.INVALID_RECORD, RecordRefused, False),
        (KafkaError.INVALID_TIMESTAMP, RecordRefused, True),
        (KafkaError.POLICY_VIOLATION, RecordRefused, False),
        (KafkaError._PURGE_QUEUE, SendFailed, False),
        (KafkaError._PURGE_INFLIGHT, SendFailed, True),
        (KafkaError._MSG_TIMED_OUT, SendFailed, True),
        (KafkaError.REQUEST_TIMED_OUT, SendFailed, True),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, SendFailed, True),
    ],
)
def test_a_record_that_was_not_acknowledged(
    code: int, kind: type[SendFailed], in_doubt: bool
) -> None:
    error = error_mapping.from_send(KafkaError(code), "orders")
    assert type(error) is kind
    assert error.in_doubt is in_doubt
    assert "orders" in str(error)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_CONTROLLER,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
    ],
)
def test_what_a_broker_refuses_for_the_moment_alone(code: int) -> None:
    error = KafkaError(code)
    assert error_mapping.may_succeed_later(error)
    assert error_mapping.from_commit(error) is None
    asked = error_mapping.from_admin(error, "create the topic 'orders'")
    assert type(asked) is SendFailed
    assert asked.in_doubt


def test_a_text_of_a_broker_acts_on_no_terminal() -> None:
    login = KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED, "go away\x1b[2J\nnow")
    for error in (error_mapping.refused_credentials(login), error_mapping.may_not_read(login)):
        assert "go away\\x1b[2J\\nnow" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AuthorizationFailed),
        (KafkaError.TOPIC_EXCEPTION, ConfigurationError),
    ],
)
def test_a_record_that_may_not_be_sent(code: int, kind: type[SdmlKafkaError]) -> None:
    assert type(error_mapping.from_send(KafkaError(code), "orders")) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.UNKNOWN_MEMBER_ID, CommitRejected),
        (KafkaError.ILLEGAL_GENERATION, CommitRejected),
        (KafkaError.STALE_MEMBER_EPOCH, CommitRejected),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, AuthorizationFailed),
        (KafkaError.OFFSET_METADATA_TOO_LARGE, CommitFailed),
        (KafkaError._TIMED_OUT, type(None)),
    ],
)
def test_a_commit_that_did_not_go_through(code: int, kind: type) -> None:
    assert type(error_mapping.from_commit(KafkaError(code))) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, AuthorizationFailed),
        (KafkaError._AUTHENTICATION, AuthenticationFailed),
        (KafkaError._TIMED_OUT, SendFailed),
        (KafkaError.INVALID_CONFIG, ConfigurationError),
    ],
)
def test_a_request_about_topics(code: int, kind: type[SdmlKafkaError]) -> None:
    assert type(error_mapping.from_admin(KafkaError(code), "create the topic")) is kind


def test_a_producer_that_takes_no_more_records() -> None:
    denied = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    assert type(error_mapping.from_fatal(denied)) is AuthorizationFailed
    assert type(error_mapping.from_fatal(KafkaError(KafkaError._FENCED))) is ProducerFailed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Authentication failed: Invalid username or password", "refused the credentials"),
        ("SASL mechanism handshake failed: unsupported mechanism", "no such sasl.mechanism"),
    ],
)
def test_credentials_that_are_refused(text: str, why: str) -> None:
    error = error_mapping.refused_credentials(KafkaError(KafkaError._AUTHENTICATION, text))
    assert why in str(error)


@pytest.mark.parametrize("why", ["Broker transport failure", "Timed out"])
def test_a_broker_that_ends_within_a_login_refuses_nothing(why: str) -> None:
    text = f"SASL PLAIN mechanism handshake failed: Local: {why}: broker's supported mechanisms:"
    error = KafkaError(KafkaError._AUTHENTICATION, text)
    assert error_mapping.refused_credentials(error) is None


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (KafkaError._SSL, "SSL handshake failed: error:0A000412:SSL routines::sslv3 alert bad "),
        (KafkaError._TRANSPORT, "Receive failed: error:0A00045C:SSL routines::tlsv13 alert "),
    ],
)
def test_a_certificate_of_the_client_that_is_not_accepted(code: int, text: str) -> None:
    said = f"{text}certificate required: SSL alert number 116"
    error = error_mapping.refused_credentials(KafkaError(code, said))
    assert "The broker wants a client's certificate" in str(error)


def test_a_certificate_that_is_not_accepted() -> None:
    text = (
        "SSL handshake failed: certificate verify failed: broker certificate could not be verified"
    )
    error = error_mapping.refused_credentials(KafkaError(KafkaError._SSL, text))
    assert "certificate was not accepted" in str(error)
    plain = KafkaError(KafkaError._SSL, "SSL handshake failed: wrong version number")
    assert error_mapping.refused_credentials(plain) is None


def test_who_was_fenced_learns_of_a_transaction_that_was_too_long() -> None:
    code = KafkaError._FENCED  # pyright: ignore[reportPrivateUsage]
    error = KafkaError(code, "fenced", True)
    other, too_long = (error_mapping.from_transaction(error, "id", each) for each in (None, 8.24))
    assert type(other) is type(too_long) is ProducerFenced
    assert "Another producer" in str(other)
    assert "timeout" not in str(other)
    assert "'id' was open for 8.2 s, which is longer than 'transaction.timeout.ms'" in str(too_long)
