"""Which spec a subscription means: a class stands for its one generic type, and the other way."""

import typing
from typing import Any

import pytest

from sdml_kafka import ParserSpec, TopicPartition, UnknownType, parse_json
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TOPIC, fill, listener_on, take_last
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

OTHER = "other"
type Alias = dict[str, Any]


class Page[T](dict[str, T]):
    """A generic class of the program's own."""


def parse_page(record: object) -> Page[Any]:
    return Page()


def spec(hint: Any, topic: str = TOPIC) -> ParserSpec[Any]:
    return {"topics": [topic], "type": hint, "parser": parse_json}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (dict[str, Any], dict),
        (dict, dict[str, Any]),
        (dict, Alias),
        (Alias, dict),
        (Alias, dict[str, Any]),
        (dict[str, Any], Alias),
        (typing.Dict, dict),  # noqa: UP006  the old spelling is what is tested
        (dict, typing.Dict[str, int]),  # noqa: UP006  likewise
        (typing.Dict[str, int], dict[str, int]),  # noqa: UP006  likewise
        (dict[str, Any] | list[Any], list[Any] | dict[str, Any]),
    ],
    ids=str,
)
async def test_a_class_and_its_one_generic_type_mean_each_other(given: Any, asked: Any) -> None:
    broker = MemoryBroker({TOPIC: 1})
    fill(broker, ["{}"])
    async with listener_on(broker, parsers=[spec(given)]) as listener:
        assert await take_last(await listener.subscribe(asked), 1) == [{}]


async def test_generic_classes_of_the_program_are_found_likewise() -> None:
    broker = MemoryBroker({TOPIC: 1})
    fill(broker, ["{}"])
    parsers: list[ParserSpec[Any]] = [
        {"topics": [TOPIC], "type": Page[int], "parser": parse_page},
        {"topics": [TOPIC], "type": dict, "parser": parse_json},
    ]
    async with listener_on(broker, parsers=parsers) as listener:
        assert type((await take_last(await listener.subscribe(Page), 1))[0]) is Page


async def test_streams_asked_for_in_two_ways_share_their_records() -> None:
    broker = MemoryBroker({TOPIC: 1})
    fill(broker, ['{"a": 1}', '{"a": 2}'])
    async with listener_on(broker, parsers=[spec(dict[str, Any])]) as listener:
        one, two = await listener.subscribe(dict), await listener.subscribe(dict[str, Any])
        assert await take_last(one, 1) + await take_last(two, 1) == [{"a": 1}, {"a": 2}]


async def test_the_type_itself_goes_before_what_resembles_it() -> None:
    broker = MemoryBroker({TOPIC: 1, OTHER: 1})
    fill(broker, ["{}"])
    fill(broker, ['{"other": 1}'], topic=OTHER)
    async with listener_on(broker, parsers=[spec(dict[str, int], OTHER), spec(dict)]) as listener:
        assert await take_last(await listener.subscribe(dict), 1) == [{}]
        await listener.commit()
    assert broker.committed(GROUP, P0) == 1
    assert broker.committed(GROUP, TopicPartition(OTHER, 0)) == 0


@pytest.mark.parametrize(
    ("given", "asked", "says"),
    [
        ([dict[str, int], dict[str, str]], dict, "could be dict.str, int. or dict.str, str."),
        ([dict[str, int]], dict[str, str], "No parser yields dict.str, str."),
        ([dict[str, int]], list, "No parser yields list"),
        ([dict], Page, "No parser yields Page"),
        ([object], dict, "No parser yields dict"),
        ([dict], [], "No parser yields"),
        ([dict], "orders", "No parser yields 'orders', which is a text and no type; those"),
    ],
)
async def test_a_type_without_a_spec_or_with_several_is_an_error(
    given: list[Any], asked: Any, says: str
) -> None:
    parsers = [spec(hint) for hint in given]
    async with listener_on(MemoryBroker({TOPIC: 1}), parsers=parsers) as listener:
        with pytest.raises(UnknownType, match=says):
            await listener.subscribe(asked)
