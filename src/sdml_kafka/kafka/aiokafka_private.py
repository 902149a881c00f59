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
- `_coordinator.member_id`, `coordinator_id`, `group_id`, `_client.send`, `_group_instance_id`: to
  leave the group when `stop()` cannot, stuck in a rebalance.
- `_fetcher.close`, `_client.close`: the second half of a `stop()` that raised or was cut off.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata

from sdml_kafka.kafka.port import ConsumerSettings

Client = Any
"""An `aiokafka.AIOKafkaConsumer`; aiokafka is not typed."""


def settings_of(consumer: Client) -> ConsumerSettings:
    interval_ms = consumer._auto_commit_interval_ms if consumer._enable_auto_commit else None
    return ConsumerSettings(
        group_id=consumer._group_id,
        auto_commit_interval_s=None if interval_ms is None else interval_ms / 1000,
        rebalance_timeout_s=consumer._rebalance_timeout_ms / 1000,
    )


def disable_auto_commit(consumer: Client) -> None:
    consumer._enable_auto_commit = False


def heartbeat_interval_s(consumer: Client) -> float:
    return float(consumer._heartbeat_interval_ms) / 1000


def in_use(consumer: Client) -> str | None:
    """What was already done with it; None for a fresh one."""
    if consumer._fetcher is not None or consumer._closed:
        return "started"
    if consumer._subscription.subscription is not None:
        return "subscribed"
    return None


def generation(consumer: Client) -> int:
    coordinator = consumer._coordinator
    return -1 if coordinator is None else int(coordinator.generation)


async def send_commit(consumer: Client, offsets: Mapping[Any, int]) -> None:
    """One request, stamped with the member's generation as of the call; no retries."""
    stamped = {
        ClientPartition(*partition): OffsetAndMetadata(offset, "")
        for partition, offset in offsets.items()
    }
    await consumer._coordinator._do_commit_offsets(None, stamped)


def dead_task(consumer: Client) -> str | None:
    """The name of an internal task that has ended though the consumer goes on."""
    for owner, name in (("_coordinator", "_coordination_task"), ("_fetcher", "_fetch_task")):
        task = getattr(getattr(consumer, owner), name, None)
        if task is not None and task.done():
            return name.strip("_").replace("_", " ")
    return None


def is_connected(consumer: Client) -> bool:
    return any(conn.connected() for conn in consumer._client._conns.values())


def refresh_metadata(consumer: Client) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = consumer._client.force_metadata_update()
    return future


def track_topics(consumer: Client, topics: set[str]) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = consumer._client.set_topics(topics)
    return future


async def leave_group(consumer: Client) -> None:
    """Tell the group that we are gone, beside a join that occupies the usual connection.

    What `stop()` does itself when it gets that far; a static member stays, as there.
    """
    coordinator = consumer._coordinator
    if coordinator is None or not coordinator.member_id or coordinator.coordinator_id is None:
        return
    if consumer._group_instance_id is None:
        with suppress(KafkaError):
            request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
            await consumer._client.send(coordinator.coordinator_id, request)


async def finish_stop(consumer: Client) -> None:
    """What `stop()` leaves undone when it raises or is cut off."""
    if consumer._fetcher is not None:
        with suppress(asyncio.CancelledError, Exception):
            await consumer._fetcher.close()
    await consumer._client.close()
