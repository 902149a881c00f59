"""A broker whose own address cannot be reached: the error names that address, and says why."""

import socket

import pytest

from sdml_kafka.errors import AdvertisedAddressUnreachable
from sdml_kafka.transport.librdkafka.options import producer_settings
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer
from tests.support.misconfigured_kafka import misconfigured_kafka

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


async def test_an_advertised_address_that_cannot_be_reached() -> None:
    wrong = {_free_port(): "127.0.0.1:1", _free_port(): "no-such-host.invalid:9092"}
    why = ("it refuses connections", "its name does not resolve")
    with misconfigured_kafka(wrong, {}):
        for (port, advertised), reason in zip(wrong.items(), why, strict=True):
            connect = connect_producer(producer_settings(f"127.0.0.1:{port}", {}))
            with pytest.raises(AdvertisedAddressUnreachable) as caught:
                async with connect() as producer:
                    await producer.start(3.0)
            assert f"broker 0 at {advertised}: {reason}" in str(caught.value)
            assert "advertised.listeners" in str(caught.value)
