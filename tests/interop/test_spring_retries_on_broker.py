"""Records that Spring's `@RetryableTopic` and our `RetryTopics` retry by turns, and bury."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any

import anyio
import pytest

from sdml_kafka import DeadLetter, Delivery, Record, RetryTopics
from sdml_kafka.dead_letters.letter import read_letter
from sdml_kafka.listener.processing.spring_headers import (
    MAX_OFFSET,
    OWN_ATTEMPTS,
    attempt_of,
    due_ms,
)
from sdml_kafka.testing import EmbeddedKafka
from tests.interop.harness.service import Event, Running, headers_of
from tests.support.kafka_from_outside import produce, unique
from tests.support.listener_on_broker import listener_on
from tests.support.processing_on_broker import records_of
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("client"),
]

OURS = RetryTopics(0.3, 0.6)
"""Spring has the same delays, so the topics have the same names."""
PARTITION = 2


@asynccontextmanager
async def listening(
    kafka: EmbeddedKafka, topic: str, fails: Mapping[str, Collection[int]], **options: Any
) -> AsyncGenerator[Mapping[str, list[int]]]:
    """Fail these attempts of each record; yield the attempts that there were."""
    attempts: dict[str, list[int]] = {value: [] for value in fails}

    async def handle(value: str, delivery: Delivery[str]) -> None:
        if value in fails:
            attempts[value].append(delivery.attempt)
            if delivery.attempt in fails[value]:
                raise ValueError(f"{value} cannot be done here")

    listener = listener_on(kafka, topic)
    listener.processor(str, **options)(handle)
    async with listener:
        yield attempts


def handled(running: Running, value: str, listener: str = "retried") -> list[Event]:
    """Return what Spring has handled of a record, in order."""
    return running.service.having(event="handled", listener=listener, value=value)


async def until_handled(running: Running, value: str, count: int, listener: str) -> None:
    await running.service.until(lambda: len(handled(running, value, listener)) >= count)


async def all_in(kafka: EmbeddedKafka, topic: str, value: str) -> list[Record]:
    """Return the records with this value, in order."""
    found = await records_of(kafka.bootstrap_servers, topic)
    return [each for each in found if each.value == value.encode()]


async def record_in(kafka: EmbeddedKafka, topic: str, value: str) -> Record:
    """Return the one record with this value."""
    (record,) = await all_in(kafka, topic, value)
    return record


def check_times(events: list[Event]) -> None:
    """Fail if Spring has handled an attempt before it was due."""
    for each in events[1:]:
        due = due_ms(headers_of(each), MAX_OFFSET)
        assert due is not None
        assert due <= each["at_ms"] < due + 20_000


def check_origin(record: Record, first: Record) -> None:
    """Fail unless a record says that it came from the place of the first one."""
    letter = read_letter(record)
    assert letter.origin is not None
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (
        first.topic,
        PARTITION,
        first.offset,
    )
    assert letter.origin.timestamp_ms == first.timestamp
    assert (record.key, record.headers[0]) == (b"k", ("mine", b"x"))


async def send(kafka: EmbeddedKafka, topic: str, value: str) -> Record:
    """Send a record, and return it as it stands in the topic."""
    await produce(
        kafka.bootstrap_servers,
        topic,
        [value],
        key=b"k",
        partition=PARTITION,
        headers=[("mine", b"x")],
    )
    return await record_in(kafka, topic, value)


@pytest.mark.librdkafka_too
async def test_what_ours_retried_goes_on_in_spring_and_comes_back(
    embedded_kafka: EmbeddedKafka, spring_retries: Running
) -> None:
    topic, value = spring_retries.topic("retried"), f"{unique('ours')} fails 2"
    async with listening(embedded_kafka, topic, {value: {1}}, retry=OURS) as attempts:
        first = await send(embedded_kafka, topic, value)
        await until(lambda: sorted(attempts[value]) == [1, 2, 3])
        await until_handled(spring_retries, value, 3, "retried")
    events = handled(spring_retries, value)
    assert [(each["topic"], each["attempt"], each["fails"]) for each in events] == [
        (topic, 1, False),
        (f"{topic}-retry-300", 2, True),
        (f"{topic}-retry-600", 3, False),
    ]
    check_times(events)
    ours = await record_in(embedded_kafka, f"{topic}-retry-300", value)
    springs = await record_in(embedded_kafka, f"{topic}-retry-600", value)
    assert read_letter(ours).exception == "builtins.ValueError"
    assert read_letter(springs).cause == "java.lang.IllegalStateException"
    for attempt, record in enumerate((ours, springs), start=2):
        check_origin(record, first)
        assert (attempt_of(record.headers), record.partition) == (attempt, PARTITION)


async def test_what_spring_retried_goes_on_here_and_is_buried_by_spring(
    embedded_kafka: EmbeddedKafka, spring_retries: Running
) -> None:
    topic, value = spring_retries.topic("retried"), f"{unique('springs')} fails 1,3"
    async with listening(embedded_kafka, topic, {value: {2}}, retry=OURS) as attempts:
        first = await send(embedded_kafka, topic, value)
        await until_handled(spring_retries, value, 1, "dead")
        await until(lambda: sorted(attempts[value]) == [1, 2, 3])
    events = handled(spring_retries, value)
    assert [(each["topic"], each["attempt"], each["fails"]) for each in events] == [
        (topic, 1, True),
        (f"{topic}-retry-300", 2, False),
        (f"{topic}-retry-600", 3, True),
    ]
    check_times(events)
    ours = await record_in(embedded_kafka, f"{topic}-retry-600", value)
    assert read_letter(ours).exception == "builtins.ValueError"
    dead = await record_in(embedded_kafka, f"{topic}-dlt", value)
    check_origin(dead, first)
    letter = read_letter(dead)
    assert (letter.attempt, letter.cause) == (3, "java.lang.IllegalStateException")
    assert letter.group == f"{spring_retries.prefix}-retried"


async def test_what_spring_failed_twice_is_buried_here_and_read_by_spring(
    embedded_kafka: EmbeddedKafka, spring_retries: Running
) -> None:
    topic, value = spring_retries.topic("retried"), f"{unique('buried')} fails 1,2"
    options = {"retry": OURS, "on_failure": DeadLetter()}
    async with listening(embedded_kafka, topic, {value: {3}}, **options):
        first = await send(embedded_kafka, topic, value)
        await until_handled(spring_retries, value, 1, "dead")
    (seen,) = handled(spring_retries, value, "dead")
    dead = await record_in(embedded_kafka, f"{topic}-dlt", value)
    assert headers_of(seen) == list(dead.headers)
    check_origin(dead, first)
    letter = read_letter(dead)
    assert (letter.attempt, letter.exception) == (3, "builtins.ValueError")
    assert letter.message == f"{value} cannot be done here"


@pytest.mark.parametrize(
    ("listener", "ours", "ends"),
    [
        ("single", RetryTopics(0.3, 0.3, suffix="none"), ("-retry", "-retry")),
        ("indexed", RetryTopics(0.3, 0.6, suffix="index"), ("-retry-0", "-retry-1")),
    ],
)
async def test_one_topic_for_all_attempts_and_topics_by_number_are_shared_too(
    listener: str,
    ours: RetryTopics,
    ends: tuple[str, str],
    embedded_kafka: EmbeddedKafka,
    spring_retries: Running,
) -> None:
    topic = spring_retries.topic(listener)
    # Who fails which attempt: both by turns, and the last one either here or there.
    done, dead_there, dead_here = (f"{unique('by turns')} fails {n}" for n in ("2", "1,3", "1,2"))
    here = {done: {1}, dead_there: {2}, dead_here: {3}}
    there = {done: {2}, dead_there: {1, 3}, dead_here: {1, 2}}
    options = {"retry": ours, "on_failure": DeadLetter()}
    async with listening(embedded_kafka, topic, here, **options) as attempts:
        firsts = {value: await send(embedded_kafka, topic, value) for value in here}
        await until(lambda: all(sorted(each) == [1, 2, 3] for each in attempts.values()))
        for value in here:
            await until_handled(spring_retries, value, 3, listener)
        for value in (dead_there, dead_here):
            await until_handled(spring_retries, value, 1, "dead")
    for value, first in firsts.items():
        events = sorted(handled(spring_retries, value, listener), key=itemgetter("attempt"))
        assert [(each["topic"], each["attempt"], each["fails"]) for each in events] == [
            (topic + end, attempt, attempt in there[value])
            for attempt, end in enumerate(("", *ends), start=1)
        ]
        check_times(events)
        for end in dict.fromkeys(ends):
            for record in await all_in(embedded_kafka, topic + end, value):
                check_origin(record, first)
    for value, exception in ((dead_there, "java.lang"), (dead_here, "builtins.ValueError")):
        dead = await record_in(embedded_kafka, f"{topic}-dlt", value)
        check_origin(dead, firsts[value])
        letter = read_letter(dead)
        assert letter.attempt == 3
        assert str(letter.cause or letter.exception).startswith(exception)


async def test_dead_letters_of_both_recoverers_say_the_same_in_the_same_form(
    embedded_kafka: EmbeddedKafka, spring_retries: Running
) -> None:
    topic, value = spring_retries.topic("recovered"), f"{unique('plain')} fails 1"
    dead = f"{topic}-dlt"

    async with listening(embedded_kafka, topic, {value: {1}}, on_failure=DeadLetter()):
        first = await send(embedded_kafka, topic, value)
        with anyio.fail_after(60):
            while len(letters := await all_in(embedded_kafka, dead, value)) < 2:
                pass
    ours, springs = sorted(letters, key=lambda each: b"spring" in dict(each.headers)[FQCN])
    for record in (ours, springs):
        check_origin(record, first)
        assert record.partition == PARTITION
    assert [read_letter(each).attempt for each in (ours, springs)] == [1, None]
    own, theirs = dict(ours.headers), dict(springs.headers)
    own[CAUSE] = b""  # ours has none here
    del own[OWN_ATTEMPTS]  # Spring does not say how often it tried in place
    assert own.keys() == theirs.keys()
    originals = {name for name in own if "-original-" in name} - {GROUP}
    assert {name: own[name] for name in originals} == {name: theirs[name] for name in originals}
    assert theirs[GROUP].decode() == topic


FQCN = "kafka_dlt-exception-fqcn"
CAUSE = "kafka_dlt-exception-cause-fqcn"
GROUP = "kafka_dlt-original-consumer-group"
