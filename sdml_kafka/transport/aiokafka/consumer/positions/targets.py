# pyright: basic
# aiokafka is not typed.
"""Find the offsets that a program wants to read from."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from aiokafka.errors import KafkaError
from aiokafka.protocol.offset import OffsetResetStrategy

from sdml_kafka.errors import SeekFailed
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.rules.seek_rules import within_logs

RETRY_S = 0.1
"""Seconds between two requests while some offsets are not known."""


async def look_up_targets(
    consumer: Client,
    targets: Mapping[TopicPartition, Target],
    timeout_s: float,
    *,
    within_log: bool,
) -> Mapping[TopicPartition, int]:
    """Return the offset that each target stands for.

    Raises:
        SeekFailed: The brokers have not said so in time.
        OffsetBeyondEnd: An offset lies beyond the end of its log, and `within_log` forbids that.
        AuthorizationFailed: The broker does not let this client read.
    """
    found, wanted = dict[TopicPartition, int](), dict[TopicPartition, int]()
    for key, target in targets.items():
        if not isinstance(target, int):
            wanted[key] = _code(target)
        elif within_log:
            wanted[key] = _code("latest")
        else:
            found[key] = target
    reason: object = "its leader is not known"
    try:
        async with asyncio.timeout(timeout_s):
            while wanted:
                try:
                    await _ask(consumer, wanted, found)
                except (KafkaError, OSError) as error:
                    reason = error
                    if (final := error_mapping.from_poll(error)) is not None:
                        raise final from error
                if wanted:
                    await internals.refresh_metadata(consumer)
                    await asyncio.sleep(RETRY_S)
    except TimeoutError:
        (topic, number), *_ = wanted
        raise SeekFailed(
            f"No broker has said within {timeout_s:g} s where to begin in {topic!r} partition "
            f"{number}: {reason}. Try again."
        ) from None
    return within_logs(targets, found) if within_log else found


def _code(target: str | datetime) -> int:
    if isinstance(target, datetime):
        return max(0, int(target.timestamp() * 1000))
    reset = OffsetResetStrategy
    return int(reset.EARLIEST if target == "earliest" else reset.LATEST)


async def _ask(
    consumer: Client, wanted: dict[TopicPartition, int], found: dict[TopicPartition, int]
) -> None:
    """Move what the brokers answer from `wanted` to `found`."""
    requests = defaultdict[tuple[int, int], list[TopicPartition]](list)
    for partition, code in wanted.items():
        if (leader := internals.leader(consumer, partition)) is not None:
            requests[leader, code].append(partition)
    for (leader, code), partitions in requests.items():
        offsets, refusal = await internals.list_offsets(consumer, leader, partitions, code)
        for partition, offset in offsets.items():
            if offset < 0:  # there is no record as late as that
                wanted[partition] = OffsetResetStrategy.LATEST
            else:
                found[partition] = offset
                del wanted[partition]
        if refusal is not None:
            raise refusal
