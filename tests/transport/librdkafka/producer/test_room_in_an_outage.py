"""The records that librdkafka keeps of a program that sends while no broker can be reached."""

from itertools import cycle

import pytest
from confluent_kafka import KafkaError

from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.librdkafka.options import producer_settings
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.sending import Sending
from tests.support.contracts.producer_world import Outcomes
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

COUNT, KEPT = 2000, 64
LIMIT_S = 10.0


def ignore(_: KafkaError) -> None:
    """Take an error of the client."""


async def test_what_has_no_room_is_dropped_once_nobody_waits_for_it(
    free_tcp_port: int, outcomes: Outcomes
) -> None:
    options = {"queue.buffering.max.kbytes": KEPT}
    settings = producer_settings(f"127.0.0.1:{free_tcp_port}", options)
    sending = Sending(ProgramLoop(), settings, ignore, creates_topics=False)
    sending._topics["topic"] = 1, cycle([0])  # pyright: ignore[reportPrivateUsage]
    wanted = True
    for number in range(COUNT):
        sending.send(Message("topic", bytes(1024)), outcomes.of(number), lambda: wanted)
    assert sending.waiting == COUNT
    wanted = False
    await until(lambda: sending.waiting == KEPT, LIMIT_S)
    sending.refuse("the test ends")
    sending.give_up()
    assert await sending.flush(LIMIT_S)
    await sending.stop(LIMIT_S)
    assert len(outcomes.reported) == KEPT
