# pyright: basic
# aiokafka is not typed.
"""Every private attribute of aiokafka that this package touches, and why.

Checked on aiokafka 0.13.0 and 0.14.0. Read-only but for `disable_auto_commit`.

Of the consumer itself, before `start`:
- `_group_id`, `_enable_auto_commit`, `_auto_commit_interval_ms`, `_rebalance_timeout_ms`,
  `_heartbeat_interval_ms`: the settings of a consumer that the user's factory built.
- `_enable_auto_commit` is written: aiokafka's own auto-commit commits what was handed out, not
  what was finished.
- `_fetcher`, `_closed`, `_subscription.subscription`: to tell a consumer that is in use already.

Of its parts:
- `_coordinator.generation`: -1 in a revocation means that the member was out of the group.
- `_coordinator._do_commit_offsets`: one commit, stamped with the generation of this very moment;
  the public `commit` retries without bound, and so into a later generation.
- `_coordinator._coordination_task`, `_fetcher._fetch_task`: dead tasks that nothing else reports.
- `_client._conns`, `force_metadata_update`, `set_topics`: whether a broker is there; topics that
  do not exist yet.
- `_fetcher.close`, `_client.close`: the second half of a `stop()` that raised or was cut off.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.structs import OffsetAndMetadata

from sdml_kafka.kafka.port import ConsumerSettings


def _inside(consumer: AIOKafkaConsumer) -> Any:
    return cast(Any, consumer)


def settings_of(consumer: AIOKafkaConsumer) -> ConsumerSettings:
    inside = _inside(consumer)
    interval_ms = inside._auto_commit_interval_ms if inside._enable_auto_commit else None
    return ConsumerSettings(
        group_id=inside._group_id,
        auto_commit_interval_s=None if interval_ms is None else interval_ms / 1000,
        rebalance_timeout_s=inside._rebalance_timeout_ms / 1000,
    )


def disable_auto_commit(consumer: AIOKafkaConsumer) -> None:
    _inside(consumer)._enable_auto_commit = False


def heartbeat_interval_s(consumer: AIOKafkaConsumer) -> float:
    return float(_inside(consumer)._heartbeat_interval_ms) / 1000


def in_use(consumer: AIOKafkaConsumer) -> str | None:
    """What was already done with it; None for a fresh one."""
    inside = _inside(consumer)
    if inside._fetcher is not None or inside._closed:
        return "started"
    if inside._subscription.subscription is not None:
        return "subscribed"
    return None


def generation(consumer: AIOKafkaConsumer) -> int:
    coordinator = _inside(consumer)._coordinator
    return -1 if coordinator is None else int(coordinator.generation)


async def send_commit(consumer: AIOKafkaConsumer, offsets: Mapping[Any, int]) -> None:
    """One request, stamped with the member's generation as of the call; no retries."""
    stamped = {
        ClientPartition(*partition): OffsetAndMetadata(offset, "")
        for partition, offset in offsets.items()
    }
    await _inside(consumer)._coordinator._do_commit_offsets(None, stamped)


def dead_task(consumer: AIOKafkaConsumer) -> str | None:
    """The name of an internal task that has ended though the consumer goes on."""
    inside = _inside(consumer)
    for owner, name in (("_coordinator", "_coordination_task"), ("_fetcher", "_fetch_task")):
        task = getattr(getattr(inside, owner), name, None)
        if task is not None and task.done():
            return name.strip("_").replace("_", " ")
    return None


def is_connected(consumer: AIOKafkaConsumer) -> bool:
    return any(conn.connected() for conn in _inside(consumer)._client._conns.values())


def refresh_metadata(consumer: AIOKafkaConsumer) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = _inside(consumer)._client.force_metadata_update()
    return future


def track_topics(consumer: AIOKafkaConsumer, topics: set[str]) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = _inside(consumer)._client.set_topics(topics)
    return future


async def finish_stop(consumer: AIOKafkaConsumer) -> None:
    """What `stop()` leaves undone when it raises or is cut off."""
    inside = _inside(consumer)
    if inside._fetcher is not None:
        with suppress(asyncio.CancelledError, Exception):
            await inside._fetcher.close()
    await inside._client.close()
