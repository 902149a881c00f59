"""Of aiokafka's lines an operator reads what nobody else says, and level DEBUG shows all."""

import logging
from collections.abc import Iterator
from contextvars import Context

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, RequestTimedOutError

from sdml_kafka.transport.aiokafka.log_filter import limited_logs, own_lines

CLIENT = logging.getLogger("aiokafka")
FETCHER = logging.getLogger("aiokafka.consumer.fetcher")
NODE = "Unable connect to node with id %s: %s"


@pytest.fixture(autouse=True)
def is_limited(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, "aiokafka")
    with limited_logs():
        yield


def test_what_is_said_elsewhere_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with own_lines():
        CLIENT.error(NODE, 1, "refused")
        FETCHER.error("Failed fetch messages from %s: %s", 1, KafkaConnectionError("closed"))
        FETCHER.info("anything")
        assignor = logging.getLogger("aiokafka.coordinator.assignors.roundrobin")
        assignor.warning("No partition metadata for topic %s", "x")
        logging.getLogger("aiokafka.cluster").error("Topic %s not found in cluster metadata", "x")
        try:
            raise KafkaError("which the next poll raises")
        except KafkaError:
            FETCHER.exception("Unexpected error in fetcher routine")
    assert caplog.messages == []


def test_what_nobody_else_says_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    with own_lines():
        FETCHER.error("Failed fetch messages from %s: %s", 1, RequestTimedOutError())
        logging.getLogger("aiokafka.conn").warning("Sending username and password in the clear")
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            FETCHER.exception("Unexpected error in fetcher routine")
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "ERROR"]


def test_debug_shows_the_originals(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aiokafka")
    with own_lines():
        for _ in range(20):
            CLIENT.error(NODE, 1, "refused")
    assert len(caplog.records) == 20
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_a_client_of_the_programs_own_is_limited_and_not_silenced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def log() -> None:
        for _ in range(20):
            CLIENT.error(NODE, 1, "refused")

    Context().run(log)
    assert 1 <= len(caplog.records) < 20
