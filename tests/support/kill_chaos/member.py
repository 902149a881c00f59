"""A member that processes in a process of its own, which a test kills.

It writes down when a handler begins and ends, and sends on each record. SIGTERM makes it leave by
plan.
"""

import os
import random
import sys
import time
from collections.abc import Sequence
from typing import cast

import anyio

from sdml_kafka import Delivery, KafkaListener, Record, Retry, Send, Skip
from sdml_kafka.listener.processing.job import Job
from tests.support import clients
from tests.support.backends import BACKENDS
from tests.support.leaving import stay_until_sigterm
from tests.support.listener_on_broker import texts

SESSION_TIMEOUT_MS = 5000
"""Milliseconds that the partitions of a killed member stay with it."""
BEGUN, ENDED, FAILED, CUT_OFF = "begun", "ended", "failed", "cut-off"


def key_of(record: Record) -> str:
    return "-" if record.key is None else record.key.decode()


async def main(
    bootstrap: str, topic: str, output: str, group: str, path: str, seed: str, name: str
) -> None:
    chance = random.Random(f"{seed} {name}")
    # Each write is a line that is there whole or not at all, also after a SIGKILL.
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    given = clients.arguments(
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=300,
        start_timeout=60.0,
        drain_timeout=6.0,
        stop_timeout=12.0,
        auto_commit={"every": 50, "interval_s": 0.2},
    )
    listener = KafkaListener(texts(topic), **given)

    def note(what: str, record: Record, epoch: int) -> None:
        place = record.partition, record.offset, key_of(record)
        line = " ".join(map(str, (what, name, epoch, *place, time.time_ns())))
        os.write(log, line.encode() + b"\n")

    @listener.processor(
        str,
        order="key",
        concurrency=16,
        retry=Retry(attempts=50, backoff_s=0.02, max_backoff_s=0.1),
        on_failure=Skip(),
    )
    async def handle(value: str, delivery: Delivery[str]) -> Send | Sequence[Send]:
        record, epoch = delivery.record, cast(Job, delivery).tenancy.epoch
        note(BEGUN, record, epoch)
        try:
            if chance.random() < 0.8:
                await anyio.sleep(chance.random() ** 6 * 0.3)
        except BaseException:
            note(CUT_OFF, record, epoch)
            raise
        if chance.random() < 0.02:
            note(FAILED, record, epoch)
            raise ValueError(value)
        note(ENDED, record, epoch)
        send = Send(output, b"%d %d" % (record.partition, record.offset), key=record.key)
        return send if record.offset % 3 else [send, send]

    await stay_until_sigterm(listener)


if __name__ == "__main__":
    backend, *arguments = sys.argv[1:]
    bootstrap, topic, output, group, path, seed, name = arguments
    anyio.run(main, bootstrap, topic, output, group, path, seed, name, **BACKENDS[backend])
