"""Dead letters of real Spring services in `sdml-kafka dead-letters`: listed, shown, sent anew."""

import json
import subprocess
from collections.abc import Generator
from typing import Any

import anyio.to_thread
import pytest

from sdml_kafka import Record
from sdml_kafka.dead_letters.anew import record_for
from sdml_kafka.dead_letters.letter import read_letter
from sdml_kafka.testing import EmbeddedKafka
from tests.interop.harness.service import Event, Running, headers_of
from tests.support.command_line import EXIT_TIMEOUT_S, PROGRAM
from tests.support.kafka_from_outside import produce, unique
from tests.support.processing_on_broker import records_of

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

PARTITION = 1
LISTENERS = pytest.mark.parametrize(
    ("listener", "attempts", "backend"),
    [("retried", 3, "asyncio"), ("recovered", None, "trio")],
    ids=["retryable-asyncio", "recoverer-trio"],
)
"""How Spring tries a record, the attempts that its dead letter counts, and our event loop."""
CAUSE = "java.lang.IllegalStateException"


@pytest.fixture
def mending(spring_retries: Running) -> Generator[None]:
    """Make Spring's listeners fail again after a test that has mended them."""
    yield
    spring_retries.service.ask("mend", is_mended=False)


def run(kafka: EmbeddedKafka, topic: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run `sdml-kafka dead-letters` to its end."""
    ended = subprocess.run(
        [PROGRAM, "dead-letters", topic, *words, "--bootstrap", kafka.bootstrap_servers],
        capture_output=True,
        timeout=EXIT_TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def handled(running: Running, value: str, listener: str) -> list[Event]:
    return running.service.having(event="handled", value=value, listener=listener)


def bury(kafka: EmbeddedKafka, running: Running, listener: str) -> tuple[str, dict[str, Any]]:
    """Have Spring try a record three times; return its value and the place that it came from."""
    topic, value = running.topic(listener), f"{unique('order')} fails 1,2,3"

    async def send() -> None:
        headers, servers = [("mine", b"x")], kafka.bootstrap_servers
        await produce(servers, topic, [value], key=b"k", partition=PARTITION, headers=headers)

    anyio.run(send)
    running.service.wait_for(lambda: len(handled(running, value, listener)) == 3)
    first = handled(running, value, listener)[0]
    return value, {"topic": topic, "partition": PARTITION, "offset": first["offset"]}


def letter_from(
    kafka: EmbeddedKafka, origin: dict[str, Any], value: str, *words: str
) -> dict[str, Any]:
    """Return the line of the letter that came from a place, once Spring has written it."""
    topic = f"{origin['topic']}-dlt"

    async def until_written() -> None:
        with anyio.fail_after(30):
            while value.encode() not in [
                each.value for each in await records_of(kafka.bootstrap_servers, topic)
            ]:
                pass

    anyio.run(until_written)
    lines = run(kafka, topic, *words).stdout.splitlines()
    (letter,) = [each for each in map(json.loads, lines) if each["from"] == origin]
    return letter  # type: ignore[no-any-return]  # json's


@pytest.mark.usefixtures("mending")
@LISTENERS
def test_a_dead_letter_of_spring_is_listed_shown_and_sent_anew_once(
    embedded_kafka: EmbeddedKafka,
    spring_retries: Running,
    listener: str,
    attempts: int | None,
    backend: str,
) -> None:
    loop = ("--backend", backend)
    value, origin = bury(embedded_kafka, spring_retries, listener)
    topic = f"{origin['topic']}-dlt"
    letter = letter_from(embedded_kafka, origin, value, "--exception", CAUSE, *loop)
    assert letter["exception"].endswith(".ListenerExecutionFailedException")
    assert (letter["partition"], letter["cause"]) == (PARTITION, CAUSE)
    assert (letter["group"], letter["attempts"]) == (spring_retries.topic(listener), attempts)
    assert letter["message"].endswith(f"{value.split()[0]} cannot be done")

    shown = run(embedded_kafka, topic, "show", str(PARTITION), str(letter["offset"]), *loop).stdout
    assert f"value:\n  {value}\n".encode() in shown
    assert b"\n  mine = x\n" in shown
    assert b"Caused by: java.lang.IllegalStateException" in shown

    spring_retries.service.ask("mend", is_mended=True)
    replay = ("replay", "--from-topic", origin["topic"], "--same-partition", *loop)
    run(embedded_kafka, topic, *replay)
    spring_retries.service.wait_for(lambda: len(handled(spring_retries, value, listener)) == 4)
    again = handled(spring_retries, value, listener)[3]
    assert (again["topic"], again["key"], again["fails"]) == (origin["topic"], "k", False)
    assert (again["partition"], again["attempt"]) == (PARTITION, 1)
    assert headers_of(again) == [("mine", b"x")]
    assert b"0 records sent" in run(embedded_kafka, topic, *replay).stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [(bytes(8), "no price"), (b"no number", '{"item":"a","cents":1}')],
    ids=["value", "key"],
)
def test_a_record_that_spring_could_not_parse(
    embedded_kafka: EmbeddedKafka, spring_retries: Running, key: bytes, value: str
) -> None:
    topic, servers = spring_retries.topic("parsed"), embedded_kafka.bootstrap_servers

    async def send() -> None:
        headers = [("mine", b"x")]
        await produce(servers, topic, [value], key=key, partition=PARTITION, headers=headers)

    async def dead() -> Record:
        with anyio.fail_after(60):
            while True:
                for each in await records_of(servers, f"{topic}-dlt"):
                    if each.key == key:
                        return each

    anyio.run(send)
    letter = read_letter(anyio.run(dead))
    assert letter.record.value == value.encode()
    assert (
        letter.exception == "org.springframework.kafka.support.serializer.DeserializationException"
    )
    assert letter.message == "failed to deserialize"
    assert letter.stack_trace is not None
    assert letter.origin is not None
    assert (letter.origin.topic, letter.origin.partition) == (topic, PARTITION)
    assert list(record_for(letter, topic).headers) == [("mine", b"x")]
