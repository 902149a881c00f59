"""How a start ends that takes too long."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest

from sdml_kafka.errors import BrokerUnreachable
from sdml_kafka.transport.aiokafka.startup import Startup


class SlowClient:
    async def start(self) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise OSError("broken off") from None


def test_the_error_of_a_start_that_was_given_up_is_in_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connecting: Any = SimpleNamespace(
        asked={}, protocol="PLAINTEXT", has_found_brokers=True, failures=dict
    )

    async def main() -> None:
        client: Any = SlowClient()
        startup = Startup(client, connecting, lambda error: error)
        with pytest.raises(BrokerUnreachable):
            await startup.run(0.01)
        await startup.cancel()

    asyncio.run(main())
    gc.collect()
    assert not [each for each in caplog.records if each.name == "asyncio"]
