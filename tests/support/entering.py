"""A listener, a client and a server that cannot be entered, and the error that says why."""

from collections.abc import Callable
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


async def error_that_says(
    reason: str, make: Callable[..., Any], start_timeout: float
) -> BaseException:
    """Return the error of entering what is made with this time, or with ten times as much.

    A machine that stands still for a moment may not find the reason in the short time.

    Args:
        reason: What the text of the error has to hold.
        make: Makes it with a `start_timeout`.
        start_timeout: Seconds, after most of which the error comes.
    """
    error = await error_of_entering(make(start_timeout=start_timeout))
    if reason not in str(error):
        error = await error_of_entering(make(start_timeout=10 * start_timeout))
    assert reason in str(error)
    return error


async def error_of_entering(made: Any) -> BaseException:
    """Return the error with which something cannot be entered."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the caller looks at it
        async with made:
            pytest.fail("entered")
    return caught.value
