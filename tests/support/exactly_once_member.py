"""A member in a process of its own that passes on records exactly once, which a test kills.

SIGTERM makes it leave by plan.
"""

import random
import sys
from typing import Any

import anyio

from sdml_kafka import Delivery, KafkaListener, Send
from sdml_kafka.listener.processing.policies import DeadLetter, Retry, RetryTopics, Transaction
from tests.support.backends import BACKENDS
from tests.support.leaving import stay_until_sigterm
from tests.support.listener_on_broker import texts

CLASSIC = {"group.protocol": "classic", "session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
"""Settings of a group whose members are given up soon."""
RETRIES: dict[str, Retry | RetryTopics] = {
    "in place": Retry(attempts=3, backoff_s=0.01),
    "by topics": RetryTopics(0.2, first=Retry(attempts=2, backoff_s=0.01)),
}


async def main(
    bootstrap: str, topic: str, output: str, group: str, protocol: str, retry: str, name: str
) -> None:
    chance = random.Random(name)
    options: dict[str, Any] = dict(CLASSIC) if protocol == "classic" else {}
    if retry == "by topics":
        options["isolation.level"] = "read_committed"
    listener = KafkaListener(
        texts(topic),
        client="librdkafka",
        bootstrap_servers=bootstrap,
        group_id=group,
        client_options={"auto.offset.reset": "earliest", **options},
        start_timeout=60.0,
        drain_timeout=6.0,
        stop_timeout=12.0,
        auto_commit={"every": 50, "interval_s": 0.2},
    )

    @listener.processor(
        str,
        order="key",
        concurrency=16,
        retry=RETRIES[retry],
        on_failure=DeadLetter(),
        exactly_once=Transaction(every=100, interval_s=0.1),
    )
    async def handle(value: str, delivery: Delivery[str]) -> Send:
        if chance.random() < 0.5:
            await anyio.sleep(chance.random() ** 6 * 0.2)
        if int(value) % 50 == 7 or chance.random() < 0.01:
            raise ValueError(value)
        return Send(output, value.encode(), key=delivery.record.key)

    await stay_until_sigterm(listener)


if __name__ == "__main__":
    backend, *arguments = sys.argv[1:]
    bootstrap, topic, output, group, protocol, retry, name = arguments
    anyio.run(main, bootstrap, topic, output, group, protocol, retry, name, **BACKENDS[backend])
