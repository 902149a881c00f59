"""The fields of log lines: every line has them, and they are bounded and never clash."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pythonjsonlogger.json import JsonFormatter

from sdml_kafka import (
    Call,
    DeadLetter,
    Delivery,
    KafkaRPC,
    KafkaRPCServer,
    RemoteError,
    Retry,
    TopicPartition,
)
from sdml_kafka.log_fields import LEFT_OUT, MAX_CHARS, NAMES, fields
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.listener_on_twin import GROUP, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until
from tests.support.written_log_lines import LOGS, PACKAGE, log_lines


def test_each_line_has_fields() -> None:
    lines = list(log_lines())
    assert len(lines) > 60
    without = [each for each in lines if "extra" not in {name.arg for name in each.call.keywords}]
    assert without == []


def test_loggers_have_no_other_names() -> None:
    """A logger by another name would be overlooked by the test above."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                made = ast.unparse(node.value.func).rpartition(".")[2]
                if made in ("getLogger", "RateLimitedLog") and file.parent.name != "cli":
                    last = node.targets[-1]
                    name = last.attr if isinstance(last, ast.Attribute) else ast.unparse(last)
                    assert name in LOGS, f"{file.relative_to(PACKAGE)}:{node.lineno}"


def test_no_field_is_an_attribute_of_every_log_record() -> None:
    taken = {*logging.makeLogRecord({}).__dict__, "message", "asctime"}
    assert taken.isdisjoint({*NAMES.values(), LEFT_OUT})


def test_fields_are_escaped_and_bounded() -> None:
    class Rude(Exception):
        def __bool__(self) -> bool:
            raise RuntimeError

        def __str__(self) -> str:
            raise RuntimeError

    shown = fields(
        group="",
        topic=None,
        partition=0,
        handler="\x1b[31mred\n",
        call_id=b"\xff\x00" + b"x" * 1_000_000,
        seconds=1 / 3,
        broker=7,
        error=Rude(),
    )
    assert shown.pop("kafka_call_id") == r"\xff\x00" + "x" * (MAX_CHARS - 5) + "..."
    assert shown == {
        "kafka_partition": 0,
        "kafka_handler": r"\x1b[31mred\n",
        "kafka_seconds": 0.333,
        "kafka_broker": 7,
        "kafka_error": "Rude",
    }


class Lines:
    """What a formatter for JSON writes of the package's lines."""

    def __init__(self, written: io.StringIO) -> None:
        self._written = written

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._written.getvalue().splitlines()]

    def with_text(self, text: str) -> dict[str, Any]:
        """Return the fields of the only line with this text."""
        (line,) = [line for line in self.read() if text in line["message"]]
        return {name: value for name, value in line.items() if name.startswith("kafka_")}


@pytest.fixture
def lines() -> Iterator[Lines]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("sdml_kafka")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield Lines(written)
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.mark.anyio
@in_virtual_time
async def test_lines_of_a_listener_as_json(lines: Lines) -> None:
    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError("no\nmore")

    broker = broker_with("a")
    broker.create_topic(dead_letters := f"{TOPIC}-dlt")
    policies = {"retry": Retry(2), "on_failure": DeadLetter()}
    async with (
        processing_on(broker) as listener,
        processing(listener, handle, name="bill", **policies),
    ):
        await until(lambda: len(broker.records(TopicPartition(dead_letters, 0))) == 1)
    place = {
        "kafka_group": GROUP,
        "kafka_topic": TOPIC,
        "kafka_partition": 0,
        "kafka_offset": 0,
        "kafka_handler": "bill",
        "kafka_attempt": 2,
        "kafka_error": "ValueError",
    }
    again = lines.with_text("attempt 2 follows")
    assert again.pop("kafka_seconds") >= 0
    assert again == place
    assert lines.with_text("the record goes to") == {**place, "kafka_to_topic": dead_letters}
    assert lines.with_text("joined group") == {"kafka_group": GROUP}
    assert lines.with_text("leaves group")["kafka_records"] == 0


@pytest.mark.anyio
@in_virtual_time
async def test_lines_of_a_server_as_json(lines: Lines) -> None:
    broker = MemoryBroker({"requests": 1})
    consumer, producer = broker.connect("servers"), broker.connect_producer()
    server = KafkaRPCServer(transport=Transport(consumer, producer))

    @server.handler("requests")
    async def price(value: bytes, call: Call) -> bytes:
        raise ValueError("no")

    client = KafkaRPC(transport=Transport(broker.connect(""), broker.connect_producer()))
    async with server, client:
        for call_id in ("one\x07", "two"):
            with pytest.raises(RemoteError):
                await client.request("requests", b"x", correlation_id=call_id)
    records = [line for line in lines.read() if "a request to handler" in line["message"]]
    known = {name: records[0][name] for name in records[0] if name.startswith("kafka_")}
    assert known == {
        "kafka_group": "servers",
        "kafka_topic": "requests",
        "kafka_partition": 0,
        "kafka_offset": 0,
        "kafka_handler": records[0]["kafka_handler"],
        "kafka_call_id": r"one\x07",
        "kafka_error": "ValueError",
    }
    assert known["kafka_handler"].endswith("price")
    assert (records[1]["kafka_call_id"], records[1]["kafka_offset"]) == ("two", 1)
