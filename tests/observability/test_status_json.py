"""The document of /status.json: what is in it, and what bounds it."""

import json
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    ConfigurationError,
    KafkaListener,
    KafkaProducer,
    KafkaRPC,
    KafkaRPCServer,
    ParserSpec,
    parse_text,
)
from sdml_kafka.observability import status_json
from sdml_kafka.observability.document_shape import (
    ActorDocument,
    HealthDocument,
    ObjectDocument,
    PartDocument,
    PartitionDocument,
    StatusDocument,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.listener_on_twin import TEXTS, TOPIC, Gate, broker_with, listener_on, loops
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def has_shape(document: Any, shape: Any) -> bool:
    return set(document) == set(shape.__annotations__)


def written(document: StatusDocument) -> StatusDocument:
    """Return the document as it comes out of the JSON that it is written as."""
    read: StatusDocument = json.loads(json.dumps(document, allow_nan=False))
    assert read == document
    return read


async def test_a_listener_with_a_record_in_hand() -> None:
    gate = Gate()
    async with (
        listener_on(broker_with("a", "b", "c")) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        await anyio.sleep(7)
        document = written(status_json(listener))
    assert has_shape(document, StatusDocument)
    (shown,) = document["objects"]
    assert has_shape(shown, ObjectDocument)
    assert (shown["name"], shown["kind"], shown["group_id"]) == ("listener", "listener", "group")
    assert has_shape(shown["health"], HealthDocument)
    assert all(has_shape(part, PartDocument) for part in shown["health"]["parts"])
    assert has_shape(shown["tree"], ActorDocument)
    (partition,) = shown["partitions"]
    assert has_shape(partition, PartitionDocument)
    assert (partition["topic"], partition["partition"]) == (TOPIC, 0)
    assert (partition["state"], partition["frontier"], partition["lag"]) == ("moving", 0, 3)
    assert (partition["in_flight"], partition["in_hand"]) == (3, 1)
    assert partition["oldest_s"] == pytest.approx(7, abs=0.5)
    assert (document["live"], document["ready"]) == (True, True)
    assert shown["calls"] is None
    assert shown["sends"] == {"waiting": 0}


async def test_objects_of_each_kind_have_names_of_their_own() -> None:
    """One alone has its kind; of several each has its group, its id or its topics."""
    broker = MemoryBroker({TOPIC: 1, "replies": 1})
    transport = Transport(broker.connect("calls"), broker.connect_producer())
    server, producer = KafkaRPCServer(transport=transport), KafkaProducer(transport=transport)
    rpc = KafkaRPC(transport=transport, res_topic="replies")
    audit: ParserSpec[str] = {"topics": ["a", "b"], "type": str, "parser": parse_text}
    where: dict[str, Any] = {"bootstrap_servers": "127.0.0.1:1"}
    objects = (
        listener_on(broker),
        KafkaListener([TEXTS], group_id="billing", **where),
        KafkaListener([audit], group_id="billing", **where),
        rpc,
        server,
        producer,
        KafkaProducer(client_id="shop", **where),
        KafkaProducer(transport=transport),
    )
    document = written(status_json(*objects))
    names = [each["name"] for each in document["objects"]]
    assert names == [
        "listener topic",
        "listener billing",
        "listener a, b",
        "rpc",
        "server",
        "producer",
        "producer shop",
        "producer 2",
    ]
    assert [each["health"]["state"] for each in document["objects"]] == ["new"] * 8
    assert (document["live"], document["ready"]) == (True, False)


async def test_something_else_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="can be looked at, not 'listener'"):
        status_json("listener")  # type: ignore[arg-type]  # on purpose
