"""Options that cannot work are a clear error at once, and no connection is made."""

import gc
from typing import Any

import pytest

from sdml_kafka import (
    AutoCommit,
    ConfigurationError,
    KafkaListener,
    SchemaRegistry,
    UnknownType,
    parse_json,
    parse_msgspec,
    parse_pydantic,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import P0, TEXTS, broker_with, listener_on, take_last
from tests.support.virtual_time import in_virtual_time

TWO_STRINGS: dict[str, Any] = {"bootstrap_servers": "127.0.0.1:9", "group_id": "group"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bootstrap_servers": "127.0.0.1:9"}, "bootstrap_servers and group_id"),
        ({"group_id": "group"}, "bootstrap_servers and group_id"),
        ({"bootstrap_servers": "127.0.0.1:9", "group_id": ""}, "bootstrap_servers and group_id"),
        ({}, "either consumer_factory"),
        ({"consumer_factory": object, "group_id": "group"}, "group_id: set it on the consumer"),
        ({"consumer_factory": object, "ssl_context": 1}, "ssl_context: set it on the consumer"),
        ({**TWO_STRINGS, "on_parse_error": "ignore"}, "'skip', 'raise' or a callable"),
        ({**TWO_STRINGS, "max_in_flight": 0}, "max_in_flight is 1 or more"),
        ({**TWO_STRINGS, "max_bytes_in_flight": 0}, "max_bytes_in_flight is a number of bytes"),
        ({**TWO_STRINGS, "max_bytes_in_flight": True}, "max_bytes_in_flight is a number of bytes"),
        ({**TWO_STRINGS, "max_bytes_in_flight": 1e6}, "max_bytes_in_flight is a number of bytes"),
        ({**TWO_STRINGS, "max_bytes_in_flight": "64"}, "max_bytes_in_flight is a number of bytes"),
        ({**TWO_STRINGS, "drain_timeout": -1}, "drain_timeout is in seconds"),
        ({**TWO_STRINGS, "start_timeout": 0}, "start_timeout is in seconds"),
        ({**TWO_STRINGS, "stop_timeout": float("inf")}, "stop_timeout is in seconds"),
        ({**TWO_STRINGS, "stop_timeout": float("nan")}, "stop_timeout is in seconds"),
        ({**TWO_STRINGS, "auto_commit": {}}, "either key alone will do"),
        ({**TWO_STRINGS, "auto_commit": {"every": 0}}, "at least 1"),
        ({**TWO_STRINGS, "auto_commit": {"interval_s": -1.0}}, "above 0"),
        ({**TWO_STRINGS, "auto_commit": {"evry": 1}}, "either key alone will do.*evry"),
        ({**TWO_STRINGS, "auto_commit": 5}, "either key alone will do"),
        ({**TWO_STRINGS, "rebalance_listener": object()}, "no method on_partitions_assigned"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        KafkaListener([TEXTS], **options)
    gc.collect()  # an unclosed consumer would warn


@pytest.mark.parametrize(
    ("parsers", "text"),
    [
        ([], "parsers is empty"),
        (None, "parsers is empty"),
        ([{"topics": [], "type": dict, "parser": parse_json}], "topics is empty"),
        ([{"topics": None, "type": dict, "parser": parse_json}], "topics is a list of names"),
        ([{"topics": "orders", "type": dict, "parser": parse_json}], "a list of names"),
        ([{"topics": [""], "type": dict, "parser": parse_json}], "a list of names"),
        ([{"topics": [b"orders"], "type": dict, "parser": parse_json}], "a list of names"),
        ([{"topics": ["orders"], "type": dict}], r"parsers\[0\] lacks parser"),
        ([TEXTS, {"topics": ["orders"]}], r"parsers\[1\] lacks parser, type"),
        ([{"topics": ["orders"], "type": dict, "parser": "json"}], "cannot be called"),
        ([{"topics": ["orders"], "type": [dict], "parser": parse_json}], "not hashable"),
        (
            [{"topics": ["orders"], "type": dict, "parser": parse_msgspec}],
            r"parsers\[0\]: parser is parse_msgspec itself.*call it: parse_msgspec\(Order\)",
        ),
        (
            [{"topics": ["orders"], "type": dict, "parser": parse_pydantic}],
            r"call it: parse_pydantic\(Order\)",
        ),
        (
            [{"topics": ["orders"], "type": dict, "parser": SchemaRegistry("http://r").parser}],
            r"call it: registry.parser\(Order\)",
        ),
    ],
)
def test_parsers_that_cannot_work_are_refused(parsers: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        KafkaListener(parsers, **TWO_STRINGS)
    gc.collect()


def test_a_listener_that_is_never_entered_leaves_nothing_open() -> None:
    KafkaListener([TEXTS], **TWO_STRINGS)
    gc.collect()


def test_a_policy_may_be_given_as_a_value_too() -> None:
    KafkaListener([TEXTS], auto_commit=AutoCommit(every=3), **TWO_STRINGS)


@pytest.mark.anyio
@in_virtual_time
async def test_a_type_that_no_parser_yields_names_those_that_are() -> None:
    counts = {"topics": ["counts"], "type": dict[str, int], "parser": parse_json}
    async with listener_on(broker_with("a"), parsers=[TEXTS, counts]) as listener:  # type: ignore[list-item]
        for wanted in (int, list, dict[str, str], "str", ["str"]):
            with pytest.raises(UnknownType, match=r"those given yield: dict\[str, int\], str"):
                await listener.subscribe(wanted)
        assert await take_last(await listener.subscribe(str), 1) == ["a"]


@pytest.mark.anyio
@in_virtual_time
@pytest.mark.parametrize("size", [-1, True, "5", 1.5, None])
async def test_a_queue_size_that_cannot_be_is_refused(size: Any) -> None:
    async with listener_on(broker_with()) as listener:
        with pytest.raises(ConfigurationError, match="queue_maxsize is 0 or more"):
            await listener.subscribe(str, queue_maxsize=size)


@pytest.mark.anyio
@in_virtual_time
async def test_records_of_any_shape_hurt_nobody() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.produce("topic", None, headers=[("h\u00e9", b"\xff")])
    broker.produce("topic", b"", key=b"\xff\xfe")
    broker.produce("topic", b"x" * (8 << 20))
    async with listener_on(broker) as listener:
        seen = await take_last(await listener.subscribe(str), 3)
        assert [len(text) for text in seen] == [0, 0, 8 << 20]
        assert listener.status().partitions[P0].in_flight == 0


def test_a_processor_without_its_type_is_told_how_to_write_it() -> None:
    listener: Any = listener_on(broker_with())
    with pytest.raises(ConfigurationError, match=r"write @listener\.processor\(Order\)"):
        listener.processor(test_a_processor_without_its_type_is_told_how_to_write_it)
