# pyright: basic
# aiokafka is not typed.
"""Every private attribute of aiokafka's consumer that this package touches, and why.

Checked on aiokafka 0.13.0, 0.14.0 and 0.15.0rc1. They are read only, unless it says that they are
written.

Of the consumer itself, before `start`:
- The options in `_KEPT`, which are checked.
- `_group_id`, `_enable_auto_commit`, `_auto_commit_interval_ms`, `_rebalance_timeout_ms`,
  `_heartbeat_interval_ms`: the settings of a consumer that the user's factory built.
- `_enable_auto_commit` is written: aiokafka's own auto-commit commits records that were delivered,
  not records that were finished.
- `_auto_offset_reset`: it decides on partitions without a commit. It is written, unless it is
  `none`: where the next offset is gone, what is left has to be read, and there is no public way to
  change the setting of a consumer that is built.
- `_isolation_level`: with `read_committed` the end that the broker names is not the log's.
- `_fetcher`, `_closed`, `_subscription.subscription`: whether a consumer is in use already.

Of its parts:
- `_coordinator.generation`: -1 in a revocation means that the member was out of its group.
- `_coordinator._do_commit_offsets`: sends one commit, stamped with the generation of this very
  moment; the public `commit` retries without bound, and so into a later generation.
- `_coordinator._coordination_task`, `_fetcher._fetch_task`: tasks whose death nothing reports.
- `_coordinator._rejoin_needed_fut`: whether a rebalance is due, as it is once the metadata shows
  other partitions than the assignment was made of.
- `_coordinator.check_errors`, `_subscription.reassignment_in_progress`,
  `_fetcher._records`, `_create_fetch_waiter`: what `getmany` looks at and waits for.
- `_subscription.subscription.assignment._tp_state[...]._position`: where aiokafka reads on, at
  once; the public `position` is a coroutine that may wait for ever. `highwater`, `lso`, `timestamp`
  of it: what the last fetch said, which the public methods look up one by one.
- `_client.send`, `cluster`, `_fetcher._isolation_level`: one request for the beginnings or ends of
  the partitions that a broker leads. The public `beginning_offsets` and `end_offsets` raise if one
  partition has moved or is gone, and before that ask for all again and again, with a warning each
  time.
- `_coordinator.fetch_committed_offsets`: the commits of many partitions in one request.
- `_fetcher._records[...]`, with `_partition_records` and what is in it, `check_assignment` and
  `_update_position`: fetches that are decoded in `record_batches.py`, which checks all of it.
  `_records_iterator` of it is written: it keeps the fetched bytes in a circle of references.
- `_key_deserializer`, `_value_deserializer`: with one of them aiokafka has to decode.
- `_subscription.is_assigned`: whether something was fetched for nobody.
- `_fetcher._proc_fetch_request` is replaced, `_fetch_waiters`: to learn at once of records that
  were fetched.
- `_fetcher._wait_consume_future`: taken away while a `getmany` runs, and given to `_notify` later,
  which decides when the next fetch is built.
- `_subscription._fetch_count`, `_last_fetch_ended` are written: a `getmany` that raises or is
  cancelled leaks a count, after which `max_poll_interval_ms` is never enforced again.
- `_fetcher._get_actions_per_node`, `close` and `_client` are replaced; `_fetcher._in_flight`,
  `_fetch_max_wait_ms`, `_client_rack`, `_client.cluster._partitions` and `_paused` of a partition's
  state are read, `highwater`, `lso` and `timestamp` of it written; of a `FetchRequest` `_CLASSES`,
  `_topics`, `prepare`, `build`, and the fields of what it builds: fetch sessions, which aiokafka
  does not have (`fetch_sessions.py`, which looks for all of it). What else a `FetchRequest` keeps
  is read in `transport/aiokafka/fetch_codec.py`, which compares the bytes first.
- `_client._conns`, `force_metadata_update`, `set_topics`: whether a broker is connected, and
  topics that do not exist yet.
- `_coordinator.member_id`, `coordinator_id`, `group_id`, `_client.send`, `_group_instance_id`: to
  leave the group when `stop()` cannot, since it is stuck in a rebalance.
- `_client.coordinator_lookup` and `_coordinator._send_req` are replaced: to note errors that
  aiokafka keeps to itself (see `Obstacles`).
- `_fetcher.close`, `_client`: the second half of a `stop()` that raised or was cut off.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import getattr_static, unwrap
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.group import JoinGroupRequest, LeaveGroupRequest
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy
from aiokafka.structs import OffsetAndMetadata

from sdml_kafka.transport.aiokafka.client import Client, close_client
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit, ConsumerSettings, Membership

_KEPT = (
    "isolation_level",
    "session_timeout_ms",
    "rebalance_timeout_ms",
    "heartbeat_interval_ms",
    "request_timeout_ms",
    "max_poll_interval_ms",
    "auto_commit_interval_ms",
    "retry_backoff_ms",
    "fetch_max_wait_ms",
    "fetch_min_bytes",
    "fetch_max_bytes",
    "max_partition_fetch_bytes",
    "enable_auto_commit",
    "check_crcs",
    "group_instance_id",
    "max_poll_records",
)
"""The options that aiokafka keeps in an attribute of the same name."""


def as_client(partition: TopicPartition) -> Any:
    """Return a partition in aiokafka's own type, which it asserts, although ours is equal."""
    return ClientPartition(*partition)


def settings_of(consumer: Client) -> ConsumerSettings:
    interval_ms = consumer._auto_commit_interval_ms if consumer._enable_auto_commit else None
    return ConsumerSettings(
        group_id=consumer._group_id or "",
        auto_commit_interval_s=None if interval_ms is None else interval_ms / 1000,
        rebalance_timeout_s=consumer._rebalance_timeout_ms / 1000,
        stall_limit_s=consumer._session_timeout_ms / 1000,
    )


def membership_of(consumer: Client) -> Membership:
    """Return how the consumer is a member of its group."""
    if not consumer._group_id:
        return Membership()
    return Membership("classic", consumer._session_timeout_ms / 1000)


def options_of(consumer: Client) -> dict[str, Any]:
    """Return the options that a consumer was built with, as far as it keeps them as they were."""
    options = {name: getattr(consumer, f"_{name}") for name in _KEPT}
    options["auto_offset_reset"] = str(consumer._auto_offset_reset).lower()
    return options


def max_poll_interval_s(consumer: Client) -> float:
    return float(consumer._max_poll_interval_ms / 1000)


def disable_auto_commit(consumer: Client) -> None:
    consumer._enable_auto_commit = False


def never_resets(consumer: Client) -> bool:
    """Return whether a partition without a commit has no position."""
    return str(consumer._auto_offset_reset).lower() not in ("earliest", "latest")


def reset_to_earliest(consumer: Client) -> str:
    """Read a partition from its first offset where the next one is gone.

    Return the user's own setting, which decides on partitions that were never read.
    """
    setting = str(consumer._auto_offset_reset).lower()
    consumer._auto_offset_reset = "earliest"
    return setting


def reads_committed(consumer: Client) -> bool:
    """Return whether records of open transactions are held back."""
    return str(consumer._isolation_level) == "read_committed"


def heartbeat_interval_s(consumer: Client) -> float:
    return float(consumer._heartbeat_interval_ms) / 1000


def in_use(consumer: Client) -> str | None:
    """Return what was done with a consumer already, None for a fresh one."""
    if consumer._fetcher is not None or consumer._closed:
        return "started"
    if consumer._subscription.subscription is not None:
        return "subscribed"
    return None


def generation(consumer: Client) -> int:
    """Return the member's generation, -1 if it is out of its group."""
    coordinator = consumer._coordinator
    return -1 if coordinator is None else int(getattr(coordinator, "generation", 0))


def has_group(consumer: Client) -> bool:
    return bool(consumer._group_id)


def group_of(consumer: Client) -> str:
    return str(consumer._group_id)


def client_of(consumer: Client) -> Any:
    """Return the `AIOKafkaClient` of a consumer."""
    return consumer._client


def unauthorized_topics(consumer: Client) -> set[str]:
    """Return the topics that the broker does not let this client see."""
    topics: set[str] = consumer._client.cluster.unauthorized_topics
    return topics


def replace_lookup(
    consumer: Client, look_up: Callable[[Any, str], Coroutine[Any, Any, int]]
) -> Callable[[Any, str], Coroutine[Any, Any, int]]:
    """Have coordinators looked up by this function, and return aiokafka's own."""
    own: Callable[[Any, str], Coroutine[Any, Any, int]] = consumer._client.coordinator_lookup
    consumer._client.coordinator_lookup = look_up
    return own


def watch_joins(consumer: Client, note: Callable[[int], None]) -> None:
    """Call `note` with the code of each answer to a join.

    aiokafka makes an UnknownError of codes that it does not know, as that of a full group.
    """
    coordinator = consumer._coordinator
    if coordinator is None or not has_group(consumer):
        return
    own = coordinator._send_req

    async def send(request: Any) -> Any:
        answer = await own(request)
        if isinstance(request, JoinGroupRequest):
            note(answer.error_code)
        return answer

    coordinator._send_req = send


def rebalance_is_due(consumer: Client) -> bool:
    return has_group(consumer) and bool(consumer._coordinator._rejoin_needed_fut.done())


def is_rebalancing(consumer: Client) -> bool:
    return bool(consumer._subscription.reassignment_in_progress)


def raise_pending(consumer: Client) -> None:
    """Raise the error of aiokafka's coordination, which goes on only after that."""
    consumer._coordinator.check_errors()


def fetch_waiter(consumer: Client) -> "asyncio.Future[None]":
    """Return a future that is done when something was fetched, to be awaited or cancelled."""
    waiter: asyncio.Future[None] = consumer._fetcher._create_fetch_waiter()
    return waiter


def has_fetched(consumer: Client) -> bool:
    """Return whether records of any partition are there, or an error in their place."""
    return bool(consumer._fetcher._records)


def fetch_results(consumer: Client) -> dict[Any, Any]:
    """Return what was fetched and not taken yet, which whoever takes it removes."""
    results: dict[Any, Any] = consumer._fetcher._records
    return results


def drop_unassigned(consumer: Client, partition: Any) -> None:
    """Drop what was fetched of a partition that is somebody else's by now."""
    if not consumer._subscription.is_assigned(partition):
        del consumer._fetcher._records[partition]


def reads_its_own_way(consumer: Client) -> bool:
    """Return whether the consumer has deserializers, or another `getmany` than aiokafka's."""
    return (
        consumer._key_deserializer is not None
        or consumer._value_deserializer is not None
        or not _has_getmany_of_aiokafka(consumer)
    )


def _has_getmany_of_aiokafka(consumer: Client) -> bool:
    """Return whether no class of the program's own has overridden `getmany`.

    Instrumentation wraps the method of aiokafka's class itself, which is the same for all. Each
    access through such a wrapper makes another object, so what is compared is the wrapper.
    """
    own: object = getattr_static(type(consumer), "getmany")
    return own is getattr_static(AIOKafkaConsumer, "getmany")


def fetched_partitions(consumer: Client) -> Sequence[Any]:
    """Return the partitions of which something was fetched and not taken yet."""
    return list(consumer._fetcher._records)


def _states(consumer: Client) -> Mapping[Any, Any]:
    """Return the state of each partition that is assigned."""
    assignment = consumer._subscription.subscription.assignment
    states: Mapping[Any, Any] = {} if assignment is None else assignment._tp_state
    return states


def positions_of(
    consumer: Client, partitions: Iterable[TopicPartition]
) -> Iterator[tuple[TopicPartition, int]]:
    """Return the offset that is read next of each partition; those without one are left out.

    That are partitions whose offset is being looked up, and those that are not assigned.
    """
    states = _states(consumer)
    for partition in partitions:
        state = states.get(partition)
        if state is not None and state._position is not None:
            yield partition, state._position


async def take_by_aiokafka(
    consumer: Client, wanted: Mapping[Any, TopicPartition], max_records: int
) -> Mapping[TopicPartition, Sequence[Record]]:
    """Take records that are there. The room that this makes is filled by `fetch_next`."""
    fetcher = consumer._fetcher
    getmany = consumer.getmany
    if _has_getmany_of_aiokafka(consumer):
        # Instrumentation that has wrapped it would make spans beside those of the hooks.
        getmany = unwrap(getmany)
    room_made, fetcher._wait_consume_future = fetcher._wait_consume_future, None
    try:
        taken: Mapping[Any, Sequence[Record]] = await getmany(
            *wanted, timeout_ms=0, max_records=max_records
        )
    finally:
        fetcher._wait_consume_future = room_made
    return {wanted[partition]: batch for partition, batch in taken.items()}


def fetch_next(consumer: Client) -> None:
    """Build the next fetch, for the partitions that have room."""
    consumer._fetcher._notify(consumer._fetcher._wait_consume_future)


def notify_at_once(consumer: Client, turns_to_wait: Callable[[], int]) -> None:
    """Wake whoever waits for records in the turn in which they are there.

    aiokafka's fetcher takes two turns of the loop longer, which each call waits for at the client
    and at the server. Nor does it build the next fetch before the records were taken and
    `turns_to_wait()` more turns have passed, so that it builds one once.
    """
    fetcher = consumer._fetcher
    fetch = getattr(fetcher, "_proc_fetch_request", None)
    waiters = getattr(fetcher, "_fetch_waiters", None)
    if fetch is None or waiters is None:
        return

    async def fetch_and_notify(assignment: Any, node: Any, request: Any) -> Any:
        has_records = await fetch(assignment, node, request)
        if has_records:
            for waiter in list(waiters):
                fetcher._notify(waiter)
            # The fetcher awaits the fetches that it has cancelled, and expects no error of them.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
                for _ in range(turns_to_wait()):
                    await asyncio.sleep(0)
        return has_records

    fetcher._proc_fetch_request = fetch_and_notify


def begin_polling(consumer: Client) -> None:
    """Count the consumer as polling until `end_polling`, whatever comes in between."""
    consumer._subscription._fetch_count = 1


def end_polling(consumer: Client) -> None:
    consumer._subscription._fetch_count = 0
    consumer._subscription._last_fetch_ended = monotonic()


def last_fetches(
    consumer: Client, partitions: Iterable[TopicPartition]
) -> Iterator[tuple[TopicPartition, int, int, int | None]]:
    """Return what the last fetch of each partition that is assigned has said.

    That is its time in milliseconds since the epoch, the high watermark, and the last stable offset
    if the broker named it. Partitions that were not fetched yet are left out.
    """
    states = _states(consumer)
    for partition in partitions:
        state = states.get(partition)
        if state is not None and state.highwater is not None:
            yield partition, state.timestamp, state.highwater, state.lso


def leader(consumer: Client, partition: Any) -> int | None:
    """Return the number of the broker that leads a partition, None if it is not known."""
    node = consumer._client.cluster.leader_for_partition(partition)
    return None if node is None or node < 0 else int(node)


async def end_offsets(
    consumer: Client, leader: int, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Ask a broker, in one request, where partitions end for this consumer's isolation level.

    Those that the broker does not lead or does not have are missing in what is returned.
    """
    ends, _ = await list_offsets(consumer, leader, partitions, OffsetResetStrategy.LATEST)
    return ends


async def list_offsets(
    consumer: Client, leader: int, partitions: Iterable[TopicPartition], which: int
) -> tuple[dict[TopicPartition, int], Exception | None]:
    """Ask a broker, in one request, for an offset of each partition, as `OffsetResetStrategy` says.

    Return the offsets that it has named, and an error of the others that no retry mends, if there
    is one.
    """
    by_topic = defaultdict[str, list[tuple[int, int]]](list)
    for topic, number in partitions:
        by_topic[topic].append((number, which))
    request = OffsetRequest(-1, consumer._fetcher._isolation_level, list(by_topic.items()))
    response = await consumer._client.send(leader, request)
    offsets: dict[TopicPartition, int] = {}
    final: KafkaError | None = None
    for topic, answers in response.topics:
        for number, code, _, offset in answers:
            if not code:
                offsets[TopicPartition(topic, number)] = offset
            elif not (error := for_code(code)(topic)).retriable:
                final = error
    return offsets, final


async def commits(
    consumer: Client, partitions: Iterable[TopicPartition]
) -> Mapping[TopicPartition, Commit]:
    """Return what the group has committed, in one request; partitions without are missing.

    aiokafka's public `committed` drops the metadata.
    """
    found = await consumer._coordinator.fetch_committed_offsets([*map(as_client, partitions)])
    return {
        # librdkafka ends a text with a zero byte.
        TopicPartition(*partition): Commit(int(each.offset), (each.metadata or "").rstrip("\0"))
        for partition, each in found.items()
    }


async def send_commit(consumer: Client, commits: Mapping[TopicPartition, Commit]) -> None:
    """Send one commit, stamped with the member's generation as of now, without retries."""
    stamped = {
        as_client(partition): OffsetAndMetadata(commit.offset, commit.metadata)
        for partition, commit in commits.items()
    }
    await consumer._coordinator._do_commit_offsets(None, stamped)


def dead_task(consumer: Client) -> str | None:
    """Return the name of an internal task that has ended although the consumer goes on."""
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
    """Leave the group, over another connection than a join that waits.

    It is what `stop()` does when it gets that far. A static member stays, as it does there.
    """
    coordinator = consumer._coordinator
    if coordinator is None or not has_group(consumer):
        return
    if not coordinator.member_id or coordinator.coordinator_id is None:
        return
    if consumer._group_instance_id is None:
        with suppress(KafkaError):
            request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
            await consumer._client.send(coordinator.coordinator_id, request)


async def finish_stop(consumer: Client) -> None:
    """Do what `stop()` leaves undone when it raises or is cut off."""
    if consumer._fetcher is not None:
        with suppress(asyncio.CancelledError, Exception):
            await consumer._fetcher.close()
    await close_client(consumer._client)
