"""A listener, a client and a server that cannot be entered, and the error that says why."""

from typing import Any

import pytest

from sdml_kafka import KafkaListener, KafkaRPC, KafkaRPCServer
from tests.support.listener_on_broker import texts
from tests.support.rpc_on_broker import reverse


def listener(servers: str, **options: Any) -> KafkaListener:
    return KafkaListener(
        texts("topic"), bootstrap_servers=servers, **{"group_id": "listeners", **options}
    )


def client(servers: str, **options: Any) -> KafkaRPC:
    return KafkaRPC(bootstrap_servers=servers, **options)


def server(servers: str, **options: Any) -> KafkaRPCServer:
    made = KafkaRPCServer(bootstrap_servers=servers, **{"group_id": "servers", **options})
    made.handler("topic")(reverse)
    return made


each = pytest.mark.parametrize("make", [listener, client, server])


async def error_of_entering(made: Any) -> BaseException:
    """Return the error with which something cannot be entered."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the caller looks at it
        async with made:
            pytest.fail("entered")
    return caught.value
