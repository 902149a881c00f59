"""Clients whose options cannot work are refused when they are made."""

from typing import Any

import pytest

from sdml_kafka import ConfigurationError, KafkaRPC
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.server_by_hand import RAW, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_client_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="reply_topic"):
        KafkaRPC([RAW], reply_topic="own", bootstrap_servers="127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="bootstrap_servers"):
        KafkaRPC([RAW])
    for topic in ("__internal", "no topic", ".."):
        with pytest.raises(ConfigurationError, match="reply_topic"):
            KafkaRPC(reply_topic=topic, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="corr_header_keys"):
        KafkaRPC([RAW], corr_header_keys=[], bootstrap_servers="127.0.0.1:1")


async def test_bad_construction() -> None:
    transport: Any = Transport(new_broker().connect("g"), new_broker().connect_producer())
    with pytest.raises(ConfigurationError, match="start_timeout"):
        KafkaRPC([RAW], transport=transport, start_timeout=0)
    with pytest.raises(ConfigurationError, match="reply_partitions"):
        KafkaRPC([RAW], transport=transport, reply_partitions=0)


async def test_an_option_of_listeners_is_not_taken_for_another() -> None:
    with pytest.raises(ConfigurationError, match="KafkaRPC creates its reply topic itself") as it:
        KafkaRPC(bootstrap_servers="127.0.0.1:9", create_topics=True)
    assert "did you mean" not in str(it.value)
