"""Groups of the consumer protocol (KIP-848), whose time-outs are the broker's."""

import time
from pathlib import Path

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.child_program import line_of, program
from tests.support.kafka_from_outside import create_topic

pytestmark = pytest.mark.broker

SESSION_S = 2.0
KAFKA_DEFAULT_S = 45.0

MEMBER = """
from confluent_kafka import Consumer
settings = {{"bootstrap.servers": "{servers}", "group.id": "group", "group.protocol": "consumer"}}
member = Consumer(settings)
member.subscribe(["orders"])
before = 0
while True:
    member.poll(0.05)
    if (now := len(member.assignment())) != before:
        before = now
        print(now, flush=True)
"""


def test_one_property_makes_the_session_short(temp: Path) -> None:
    properties = {"group.consumer.session.timeout.ms": str(int(SESSION_S * 1000))}
    with EmbeddedKafka(properties=properties) as kafka:
        anyio.run(create_topic, kafka.bootstrap_servers, "orders")
        code = MEMBER.format(servers=kafka.bootstrap_servers)
        with program(code, temp) as first:
            assert line_of(first) == "4"
            with program(code, temp) as second:
                assert line_of(second) == "2"
                assert line_of(first) == "2"
                first.kill()
                killed = time.monotonic()
                assert line_of(second) == "4"
                assert time.monotonic() - killed < KAFKA_DEFAULT_S / 2
