"""A dead letter that a real broker does not take holds its record, until the broker takes it."""

import anyio
import pytest

from sdml_kafka import KafkaListener, KafkaProducer
from sdml_kafka.listener.processing.policies import DeadLetter
from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import arguments
from tests.support.guarded_kafka import CLERK, Resource, Right, grant, login
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.listener_on_broker import listener_on
from tests.support.processing_on_broker import configure_topic, failing, held_by, records_of
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("client"),
]


async def test_a_topic_that_is_missing(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 1), unique("group")
    await produce(bootstrap, topic, ["bad", "good"])
    handle, _ = failing(lambda value, attempt: value == "bad")
    listener = listener_on(strict_kafka, topic, group_id=group)
    listener.processor(str, on_failure=DeadLetter(), order="none")(handle)
    async with listener:
        await until(lambda: held_by(listener) and listener.status().counters.finished == 1)
        await listener.commit()
        assert (await committed(bootstrap, group)).get((topic, 0), 0) == 0
        dlt = await create_topic(bootstrap, f"{topic}-dlt", 1)
        await until(lambda: listener.status().counters.finished == 2)
        assert held_by(listener) == []
    assert [each.value for each in await records_of(bootstrap, dlt)] == [b"bad"]
    assert await committed(bootstrap, group) == {(topic, 0): 2}


async def test_a_topic_that_is_refused_by_acl(guarded_kafka: EmbeddedKafka) -> None:
    bootstrap = guarded_kafka.bootstrap_servers
    topic, group = (
        await create_topic(bootstrap, unique("orders"), 1, login=login()),
        unique("group"),
    )
    dlt = await create_topic(bootstrap, f"{topic}-dlt", 1, login=login())
    await grant(guarded_kafka, Resource.TOPIC, topic, Right.READ)
    await grant(guarded_kafka, Resource.TOPIC, dlt, Right.DESCRIBE)
    await grant(guarded_kafka, Resource.GROUP, group, Right.READ)
    await grant(guarded_kafka, Resource.CLUSTER, "kafka-cluster", Right.IDEMPOTENT_WRITE)
    await produce(bootstrap, topic, ["bad", "good"], login=login())
    handle, seen = failing(lambda value, attempt: value == "bad")
    listener = listener_on(guarded_kafka, topic, group_id=group, **login(CLERK))
    listener.processor(str, on_failure=DeadLetter(), order="none")(handle)
    async with listener:
        await until(lambda: held_by(listener) and listener.status().counters.finished == 1)
        (held,) = held_by(listener)
        assert held.to == dlt
        await anyio.sleep(1.0)
        assert listener.status().counters.finished == 1
        await grant(guarded_kafka, Resource.TOPIC, dlt, Right.WRITE)
        await until(lambda: listener.status().counters.finished == 2)
    letters = await records_of(bootstrap, dlt, login=login())
    assert [each.value for each in letters] == [b"bad"]
    assert seen.count(("bad", 1)) == 1


async def test_a_topic_that_is_too_small(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 1), unique("group")
    small = {"max.message.bytes": "4000"}
    dlt = await create_topic(bootstrap, f"{topic}-dlt", 1, config=small)
    await produce(bootstrap, topic, ["bad" * 2000, "bad", "good"])
    handle, _ = failing(lambda value, attempt: value.startswith("bad"))
    listener = listener_on(strict_kafka, topic, group_id=group)
    listener.processor(str, on_failure=DeadLetter(), order="none")(handle)
    async with listener:
        # The partition goes on taking what is small enough.
        await until(lambda: held_by(listener) and listener.status().counters.finished == 2)
        await listener.commit()
        assert (await committed(bootstrap, group)).get((topic, 0), 0) == 0
        await configure_topic(bootstrap, dlt, max_message_bytes="100000")
        await until(lambda: listener.status().counters.finished == 3)
    letters = await records_of(bootstrap, dlt)
    assert sorted(len(each.value or b"") for each in letters) == [3, 6000]
    assert await committed(bootstrap, group) == {(topic, 0): 3}


@pytest.mark.parametrize(
    ("size", "config"),
    [
        pytest.param(2_000, {"max.message.bytes": "4000"}, id="broker"),
        pytest.param(1_047_000, {}, id="producer"),
    ],
)
async def test_a_record_that_is_too_large_with_all_headers_is_written_with_fewer(
    strict_kafka: EmbeddedKafka, size: int, config: dict[str, str]
) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 1), unique("group")
    dlt = await create_topic(bootstrap, f"{topic}-dlt", 1, config=config)
    await produce(bootstrap, topic, ["x" * size])

    async def handle(value: str, delivery: object) -> None:
        raise ValueError("y" * 3000)

    listener = listener_on(strict_kafka, topic, group_id=group)
    listener.processor(str, on_failure=DeadLetter())(handle)
    async with listener:
        await until(lambda: listener.status().counters.finished == 1)
    (letter,) = await records_of(bootstrap, dlt)
    headers = dict(letter.headers)
    assert len(letter.value or b"") == size
    assert headers["kafka_dlt-exception-message"] == b"y" * 100
    assert "kafka_dlt-exception-stacktrace" not in headers


async def test_a_record_without_key_and_value(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 1), unique("group")
    dlt = await create_topic(bootstrap, f"{topic}-dlt", 1)
    async with KafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send(topic, None, headers=[("own", b"1")])
    listener = KafkaListener(
        [{"topics": [topic], "type": str, "parser": lambda record: "nothing"}],
        **arguments(bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest"),
    )
    handle, _ = failing(lambda value, attempt: True)
    listener.processor(str, on_failure=DeadLetter())(handle)
    async with listener:
        await until(lambda: listener.status().counters.finished == 1)
    (letter,) = await records_of(bootstrap, dlt)
    assert letter.key is letter.value is None
    assert dict(letter.headers)["own"] == b"1"
    assert await committed(bootstrap, group) == {(topic, 0): 1}


def has_caught_up(listener: KafkaListener, *, partitions: int) -> bool:
    status = listener.status().partitions
    return len(status) == partitions and all(each.lag == 0 for each in status.values())


async def test_a_broker_that_restarts(mortal_kafka: EmbeddedKafka) -> None:
    bootstrap = mortal_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 2), unique("group")
    dlt = await create_topic(bootstrap, f"{topic}-dlt", 2)
    values = [f"bad-{number}" for number in range(300)]
    await produce(bootstrap, topic, values)

    async def handle(value: str, delivery: object) -> None:
        await anyio.sleep(0.02)
        raise ValueError(value)

    listener = listener_on(mortal_kafka, topic, group_id=group, start_timeout=30.0)
    listener.processor(str, on_failure=DeadLetter(), order="none", concurrency=5)(handle)
    async with listener:
        await until(lambda: listener.status().counters.finished > 50)
        await mortal_kafka.restart_async()
        # Records that are handled again after the restart count as finished once more.
        await until(lambda: has_caught_up(listener, partitions=2), within_s=120.0)
    written = {each.value for each in await records_of(bootstrap, dlt)}
    assert written == {value.encode() for value in values}
    offsets = await committed(bootstrap, group)
    assert sum(offsets[topic, partition] for partition in range(2)) == 300


async def test_records_that_do_not_parse(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("numbers"), 1), unique("group")
    await produce(bootstrap, topic, ["1", "bad", "2"])
    listener = KafkaListener(
        [{"topics": [topic], "type": int, "parser": lambda record: int(record.value or b"")}],
        **arguments(bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest"),
        on_parse_error=DeadLetter(),
    )
    seen: list[int] = []

    async def read() -> None:
        async for value in await listener.subscribe(int):
            seen.append(value)  # noqa: PERF401  looked at while the loop goes on

    async with anyio.create_task_group() as tasks, listener:
        tasks.start_soon(read)
        await until(lambda: seen == [1, 2] and listener.status().held)
        await listener.commit()
        assert (await committed(bootstrap, group))[topic, 0] == 1
        dlt = await create_topic(bootstrap, f"{topic}-dlt", 1)
        await until(lambda: not listener.status().held)
        await listener.commit()
        assert (await committed(bootstrap, group))[topic, 0] >= 2
    (letter,) = await records_of(bootstrap, dlt)
    assert letter.value == b"bad"
    assert dict(letter.headers)["kafka_dlt-original-offset"] == (1).to_bytes(8, "big")
