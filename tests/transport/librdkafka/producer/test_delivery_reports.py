"""A producer of librdkafka whose reports come in the program's thread, without a broker."""

import pytest
from confluent_kafka import KafkaException

from sdml_kafka.transport.librdkafka.options import producer_settings
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.delivery_reports import ReportingProducer

pytestmark = pytest.mark.anyio


async def test_reports_that_come_after_the_end_find_an_empty_producer() -> None:
    def ignore(*_: object) -> None:
        pass

    settings = producer_settings("127.0.0.1:1", {})
    producer = ReportingProducer(ProgramLoop(), settings, ignore, ignore, ignore)
    producer.produce("topic", b"value")
    assert producer.outstanding() > 0
    producer.purge()
    await producer.stop(10.0)
    assert producer.outstanding() == 0
    with pytest.raises(KafkaException, match="_DESTROY"):
        producer.produce("topic", b"value")
