"""The picture of `sdml-kafka top`: in words, and with nothing that acts on a terminal."""

import io

import anyio
import pytest
from rich.console import Console

from sdml_kafka import ConsumerFailed
from sdml_kafka.cli.top.history import History
from sdml_kafka.cli.top.picture import picture
from sdml_kafka.observability import status_json
from sdml_kafka.observability.document_shape import StatusDocument
from tests.support.listener_on_twin import P0, Gate, broker_with, listener_on, loops
from tests.support.server_by_hand import REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


def lines(document: StatusDocument, history: History | None = None) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=140, color_system=None)
    console.print(picture(document, history or History(), "http://here/status.json"))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def has(shown: list[str], *words: str) -> bool:
    return any(all(word in line for word in words) for line in shown)


async def test_a_stuck_record_and_a_crash_can_be_read_without_colours() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker) as listener:
        broker.fail_next_poll(ConsumerFailed("ordered"))
        await until(lambda: listener.status().counters.restarts > 0)
        await until(lambda: P0 in listener.status().partitions)
        async with loops(await listener.subscribe(str), work=Gate()) as (loop,):
            await loop.has_seen(1)
            document = status_json(listener, stuck_after_s=0)
    shown = lines(document)
    assert has(shown[:1], "live, NOT READY")
    assert has(shown, "listener of group group", "! stuck", "topic 0: record 0 has been in hand")
    assert has(shown, "topic", "0", "! stuck", "2")
    assert has(shown, "consumer-loop running, 1x restarted: ConsumerFailed: ordered")
    assert has(shown, "ago crashed listener/consumer-loop: ConsumerFailed: ordered")


async def test_calls_that_wait_are_shown_with_their_age() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        tasks.call(res_timeout=30)
        await server.request()
        await anyio.sleep(10)
        document = status_json(rpc)
    assert has(lines(document), "1 calls in flight")
    assert has(lines(document), "oldest call", "age", "left")
    assert has(lines(document), REQUEST, "10 s", "20 s")


async def test_names_from_elsewhere_do_not_act_on_the_terminal() -> None:
    document = status_json(listener_on(broker_with()))
    shown = document["objects"][0]
    shown["health"]["reason"] = "[bold]no\x1b[2J\nmarkup[/bold]"
    shown["tree"]["last_error"] = "\x9b31m"
    text = "\n".join(lines(document))
    assert "[bold]no\\x1b[2J markup[/bold]" in text
    assert "\\x9b31m" in text
    assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}


async def test_the_lag_over_time_is_a_line_of_blocks() -> None:
    broker, history = broker_with(*"abcdefgh"), History()
    async with listener_on(broker) as listener:
        document = status_json(listener)
        for lag in (0, 4, 8):
            document["objects"][0]["partitions"][0]["lag"] = lag
            history.note(document)
    assert has(lines(document, history), "lag 8  ▁▄█")


async def test_what_no_terminal_can_show_is_escaped() -> None:
    document = status_json(listener_on(broker_with()))
    document["objects"][0]["health"]["reason"] = "bytes \ud800\x1b[31m \u202eback"
    shown = lines(document)
    "\n".join(shown).encode()
    assert has(shown, r"bytes \ud800\x1b[31m \u202eback")


async def test_letters_of_records_that_did_not_parse_are_told_from_those_of_processors() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener:
        document = status_json(listener)
    document["objects"][0]["counters"]["dead_letters"] = 4
    assert has(lines(document), "unparsed dead letters 4")
