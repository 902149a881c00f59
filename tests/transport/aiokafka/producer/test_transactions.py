"""A transaction over aiokafka that fails leaves no errors behind at which nobody has looked."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from sdml_kafka.transport.aiokafka.producer.transactions import _send_all
from sdml_kafka.transport.interfaces.producer import Message


class Fenced:
    """A producer whose records all fail since another one has its id."""

    async def send(self, *_: object, **__: object) -> "asyncio.Future[object]":
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ProducerFenced())
        return future


def test_the_first_error_speaks_for_the_others() -> None:
    said: list[Any] = []

    async def send() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        producer: Any = Fenced()
        with pytest.raises(ProducerFenced):
            await _send_all(producer, [Message("topic", b"%d" % number) for number in range(3)])
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(send())
    assert said == []
