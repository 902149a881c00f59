"""Settings of the reply topic that a client creates for itself, as a real broker takes them."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Call, ConfigurationError, RemoteError
from sdml_kafka.testing import EmbeddedKafka
from tests.support.rpc_on_broker import client_on, pair_on

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.usefixtures("client"),
]

MB = 1 << 20


async def test_replies_may_be_as_large_as_the_topic_is_told_to_take(
    embedded_kafka: EmbeddedKafka,
) -> None:
    async def inflate(value: bytes, call: Call) -> bytes:
        return b"x" * int(value)

    config = {"max.message.bytes": 4 * MB}
    with anyio.fail_after(60):
        async with (
            pair_on(
                embedded_kafka,
                inflate,
                server={"max_request_size": 8 * MB},
                reply_topic_config=config,
            ) as (large, topic),
            client_on(embedded_kafka) as default,
        ):
            assert len(await large.request(topic, b"%d" % (3 * MB))) == 3 * MB
            for rpc, size in ((large, 5 * MB), (default, 3 * MB)):
                with pytest.raises(RemoteError, match="larger"):
                    await rpc.request(topic, b"%d" % size)


@pytest.mark.parametrize(
    "config", [{"colour": "green"}, {"cleanup.policy": "burn"}, {"max.message.bytes": -7}]
)
async def test_what_the_broker_refuses_is_raised_on_entering_and_names_the_option(
    embedded_kafka: EmbeddedKafka, config: dict[str, Any]
) -> None:
    (name,) = config
    with anyio.fail_after(30), pytest.raises(ConfigurationError, match="reply_topic_config") as e:
        async with client_on(embedded_kafka, reply_topic_config=config):
            pass
    assert name in str(e.value)
