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


@pytest.mark.parametrize(
    "text",
    [
        "Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol",
        "Send failed: Broken pipe",
        "Receive failed: Connection reset by peer",
    ],
)
def test_a_broker_that_ends_the_first_connection_may_ask_for_a_login(text: str) -> None:
    asks = "it may ask for TLS or a login (SASL)"
    for node, expected in (("bootstrap", True), ("1", False)):
        said = f"127.0.0.1:9092/{node}: {text} (after 1ms in state UP)"
        failure = Failure.of(KafkaError(KafkaError._TRANSPORT, said))
        assert failure is not None
        assert (asks in failure.reason("plaintext")) is expected
