"""A leader that refuses the first batch of a partition, and takes the next one, loses no record.

Kafka takes any first sequence number of a producer that has written nothing to a partition. So two
batches must not be on their way at once: the second one would be taken without the first one.
"""

import pytest

from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.librdkafka.options import producer_settings
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer
from tests.support.contracts.producer_world import Outcomes
from tests.support.forgetful_broker import NOT_LEADER, forgetful_broker
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TOPIC = "young"
LETTERS = [b"%c" % each for each in b"abcdefghijklmnopqrstuvwxyz"]
LIMIT_S = 10.0


@pytest.mark.parametrize("first", [1, 2, 3])
async def test_no_record_is_reported_as_sent_that_the_leader_has_refused(
    first: int, outcomes: Outcomes
) -> None:
    with forgetful_broker(TOPIC) as broker:
        async with connect_producer(producer_settings(broker.address, {}))() as producer:
            await producer.start(LIMIT_S)
            for number, letter in enumerate(LETTERS):
                producer.send(Message(TOPIC, letter, partition=0), outcomes.of(number))
                if number == first - 1:
                    await until(lambda: broker.is_asked)
            assert await producer.flush(LIMIT_S)
    assert broker.batches[0][1] == NOT_LEADER
    assert broker.values == LETTERS
    assert outcomes.reported == {number: [None] for number in range(len(LETTERS))}
