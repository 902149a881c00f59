"""A whole outage of a real broker is two lines of log for each part, and no traceback."""

import logging

import anyio
import pytest

from sdml_kafka import KafkaListener, KafkaProducer, KafkaRPC, KafkaRPCServer, parse_text
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(180)]

OUTAGE_S = 4.0


async def test_an_outage_is_a_few_lines(
    mortal_kafka: EmbeddedKafka, caplog: pytest.LogCaptureFixture
) -> None:
    address = mortal_kafka.bootstrap_servers
    read, served = unique("read"), unique("served")
    await create_topic(address, read)
    await create_topic(address, served)
    await produce(address, read, ["a"])
    listener = KafkaListener(
        [{"topics": [read], "type": str, "parser": parse_text}],
        bootstrap_servers=address,
        group_id=unique("readers"),
        auto_offset_reset="earliest",
        auto_commit={"every": 1},
    )
    server = KafkaRPCServer(bootstrap_servers=address, group_id=unique("servers"))
    client = KafkaRPC(bootstrap_servers=address)
    producer = KafkaProducer(bootstrap_servers=address)

    @server.handler(served)
    async def echo(value: bytes, call: object) -> bytes:
        return value

    def parts() -> list[bool]:
        return [each.status().connected for each in (listener, server, client, producer)]

    async with listener, server, client, producer:
        await producer.send(read, b"b")
        stream = await listener.subscribe(str)
        caplog.set_level(logging.INFO)
        caplog.clear()
        await anyio.to_thread.run_sync(mortal_kafka.kill)
        sent = await producer.send_soon(read, b"c", timeout_s=60.0)
        await until(lambda: not any(parts()))
        async for delivery in stream.deliveries():
            delivery.done()  # whose commit has to wait
            break
        await anyio.sleep(OUTAGE_S)
        await anyio.to_thread.run_sync(mortal_kafka.restart)
        await until(lambda: all(parts()))
        reply = await client.request(
            req_topic=served, req_value=b"x", res_expect_type=bytes, res_timeout=60.0
        )
        assert reply == b"x"
        await sent.sent()
        await anyio.sleep(2)
        lines = [
            (record.name, record.levelname, record.getMessage())
            for record in caplog.records
            if not record.name.startswith("sdml_kafka.testing")
        ]
    names = [f"sdml_kafka.{each}" for each in ("listener", "server", "rpc", "producer")]
    away = [each for each in caplog.records if each.getMessage().startswith("no broker can")]
    for record in away:
        extra = vars(record)
        assert (extra["kafka_broker"], extra["kafka_error"]) == ("0", "BrokerUnreachable")
        assert f"{mortal_kafka.bootstrap_servers}: " in record.getMessage()
    assert {record.name for record in away} == set(names)
    for name in names:
        texts = [f"{level} {text}" for logger, level, text in lines if logger == name]
        assert 2 <= len(texts) <= 6, texts
        assert texts[0].startswith("WARNING no broker can be reached")
        assert any(text.startswith("INFO a broker can be reached again") for text in texts)
    assert len(lines) <= 20, lines
    assert not [line for line in lines if line[0].startswith("aiokafka")], lines
    assert "Traceback" not in caplog.text
