"""Questions to addresses at which there is no Kafka."""

import pytest

from sdml_kafka import BrokerUnreachable
from sdml_kafka.transport.connect import inspector
from sdml_kafka.transport.inspection.brokers import versions_request
from tests.support.other_servers import pouring

pytestmark = [pytest.mark.anyio, pytest.mark.uvloop_too]

PATIENCE_S = 20.0
LOGIN = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_plain_username": "me",
    "sasl_plain_password": "secret",
}


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "an HTTP server answers there, not Kafka"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "it speaks TLS, and security_protocol is"),
        (b"\x7f\xff\xff\xff", "something answers there that is not Kafka"),
        (b"\x06\x00\x00\x00", "something answers there that is not Kafka"),
    ],
)
@pytest.mark.parametrize("login", [{}, LOGIN])
async def test_what_sends_without_an_end_is_not_read_to_the_timeout(
    head: bytes, why: str, login: dict[str, str]
) -> None:
    with pouring(head) as address:
        host, _, port = address.rpartition(":")
        async with inspector(login) as opened:
            with pytest.raises(BrokerUnreachable) as raised:
                await opened.ask((host, int(port)), versions_request(), PATIENCE_S)
    assert str(raised.value).startswith(why)
