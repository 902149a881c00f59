"""A client is started again and again, and the error is of an attempt that had time to fail."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from sdml_kafka import BrokerUnreachable
from sdml_kafka.transport.connect_retry import connected
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def reason(seconds: float, *reasons: str) -> str:
    """Return why a start fails whose first attempts fail at once, and the others by time."""
    left = list(reasons)

    @asynccontextmanager
    async def connect() -> AsyncGenerator[None]:
        yield

    async def start(client: None, timeout_s: float) -> None:
        if left:
            raise BrokerUnreachable(left.pop(0))
        await anyio.sleep(timeout_s)
        raise BrokerUnreachable("no answer")

    with pytest.raises(BrokerUnreachable) as caught:
        async with connected(connect, start, anyio.current_time() + seconds):
            pass
    return str(caught.value)


async def test_an_attempt_with_hardly_any_time_does_not_hide_why_the_others_failed() -> None:
    assert await reason(0.5, "refused") == "refused"
    assert await reason(3.0, "refused", *["not Kafka"] * 8) == "not Kafka"


async def test_of_attempts_that_had_their_time_the_last_one_counts() -> None:
    assert await reason(3.0, "refused") == "no answer"
    assert await reason(0.5) == "no answer"
