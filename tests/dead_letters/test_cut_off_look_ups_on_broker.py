"""A look-up of what was sent anew that is cut off, at any point of it."""

import gc

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.connect import group_offsets
from tests.support.dead_letter_topics import DeadTopic

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.mark.one_loop
async def test_it_leaves_no_connection(embedded_kafka: EmbeddedKafka) -> None:
    """A connection that was left behind would warn as it is collected."""
    topic = await DeadTopic.create(embedded_kafka)
    for number in range(1, 11):
        with anyio.move_on_after(number * 0.006):
            await group_offsets(topic.servers, {}, "nobody", topic.dead, 5)
        gc.collect()
