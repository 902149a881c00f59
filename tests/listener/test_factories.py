"""Factories that return what cannot be used, or raise."""

import gc
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka import ConfigurationError, KafkaListener
from tests.support.listener_on_broker import texts

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (lambda: object(), "has to return a new aiokafka.AIOKafkaConsumer, not object"),
        (lambda: None, "not NoneType"),
        (lambda: AIOKafkaConsumer("topic", group_id="group"), "already subscribed"),
        (lambda: AIOKafkaConsumer(), "no group_id"),
    ],
)
async def test_a_factory_that_returns_what_cannot_be_used_is_refused(
    factory: Any, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        async with KafkaListener(texts("topic"), consumer_factory=factory):
            pytest.fail("entered")
    gc.collect()  # an unclosed consumer would complain


async def test_a_factory_that_raises_comes_out_as_itself() -> None:
    boom = KeyError("boom")

    def factory() -> AIOKafkaConsumer:
        raise boom

    with pytest.raises(KeyError) as caught:
        async with KafkaListener(texts("topic"), consumer_factory=factory):
            pytest.fail("entered")
    assert caught.value is boom
