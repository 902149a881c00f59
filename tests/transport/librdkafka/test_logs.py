"""librdkafka's lines in our logger: few of each kind, what we say ourselves at DEBUG, no secret."""

import logging

import pytest

from sdml_kafka.transport.librdkafka.logs import ClientLog

NAME = "sdml_kafka.transport.librdkafka"


def test_a_line_is_written_once_in_a_while_and_without_a_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = ClientLog(["hunter2"])
    for _ in range(5):
        log.log(logging.WARNING, "%s [%s] %s", "SOMETHING", "rdkafka#1", "of hunter2\x1b[31m")
    (record,) = caplog.records
    assert record.name == NAME
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "librdkafka: SOMETHING rdkafka#1: of ***\\x1b[31m"


@pytest.mark.parametrize("facility", ["FAIL", "ERROR", "CONFWARN", "REQTMOUT"])
def test_what_the_package_says_itself_is_at_debug(
    caplog: pytest.LogCaptureFixture, facility: str
) -> None:
    log = ClientLog([])
    log.log(logging.ERROR, "%s [%s] %s", facility, "rdkafka#1", "broker is down")
    assert caplog.records == []
    with caplog.at_level(logging.DEBUG, NAME):
        log.log(logging.ERROR, "%s [%s] %s", facility, "rdkafka#1", "broker is down")
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
