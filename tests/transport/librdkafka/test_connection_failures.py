"""Why a broker cannot be reached, out of librdkafka's text."""

import pytest
from confluent_kafka import KafkaError

from sdml_kafka.transport.librdkafka.connection_failures import Failure


@pytest.mark.parametrize(
    "text",
    [
        "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
        "Disconnected: SSL connection closed by peer",
    ],
)
def test_a_broker_that_speaks_no_tls_by_either_of_its_texts(text: str) -> None:
    said = f"ssl://127.0.0.1:9092/bootstrap: {text} (after 1ms in state SSL_HANDSHAKE)"
    failure = Failure.of(KafkaError(KafkaError._TRANSPORT, said))
    assert failure is not None
    assert failure.reason("ssl") == (
        f"it does not speak TLS as security.protocol 'ssl' needs it ({text})"
    )


def test_a_connection_that_ends_later_says_nothing_of_tls() -> None:
    text = "Disconnected: SSL connection closed by peer"
    said = f"ssl://127.0.0.1:9092/1: {text} (after 9ms in state UP)"
    failure = Failure.of(KafkaError(KafkaError._TRANSPORT, said))
    assert failure is not None
    assert failure.reason("ssl") == text


def failure(said: str, code: int = KafkaError._TRANSPORT, node: str = "bootstrap") -> Failure:
    found = Failure.of(KafkaError(code, f"127.0.0.1:9092/{node}: {said} (after 1ms in state UP)"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Disconnected: connection closed by peer: POLLHUP", KafkaError._TRANSPORT),
        ("Send failed: Broken pipe", KafkaError._TRANSPORT),
        ("Send failed: Connection reset by peer", KafkaError._TRANSPORT),
        ("Receive failed: Connection reset by peer", KafkaError._TRANSPORT),
        ("Receive failed: error:0A000126:SSL routines::unexpected eof", KafkaError._TRANSPORT),
        (
            "SASL authentication error: SaslAuthenticateRequest failed: "
            "Local: Broker transport failure",
            KafkaError._TRANSPORT,
        ),
        (
            "SASL PLAIN mechanism handshake failed: Local: Broker transport failure: "
            "broker's supported mechanisms: (n/a)",
            KafkaError._AUTHENTICATION,
        ),
    ],
)
def test_a_broker_that_ends_the_first_connection_at_any_time(text: str, code: int) -> None:
    ends = "it ends the connection; it may ask for TLS or a login (SASL)"
    assert failure(text, code).reason("plaintext").startswith(ends)
    assert failure(text, code, "1").reason("plaintext") == text


def test_a_broker_that_does_not_answer_a_login() -> None:
    said = "SASL PLAIN mechanism handshake failed: Local: Timed out: broker's supported mechanisms"
    found = failure(said, KafkaError._AUTHENTICATION, "1")
    assert found.reason("sasl_plaintext") == "it does not answer"


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"HTTP", "an HTTP server answers there, not Kafka"),
        (b"\x15\x03\x01\x00", "it speaks TLS, and security.protocol is 'plaintext'"),
        (b"\xff\xff\xff\xff", "something answers there that is not Kafka"),
    ],
)
def test_an_answer_that_is_none_of_kafka(first: bytes, reason: str) -> None:
    size = int.from_bytes(first, signed=True)
    text = f"Receive failed: Invalid response size {size} (0..100000000): increase receive"
    assert failure(text, KafkaError._BAD_MSG).reason("plaintext") == reason
    assert failure(text, KafkaError._BAD_MSG, "1").reason("plaintext") == text
