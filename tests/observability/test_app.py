"""/live, /ready and /status.json, as an orchestrator and a person ask for them."""

import builtins
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from sdml_kafka import ConfigurationError, ConsumerFailed, KafkaListener, Restarts
from sdml_kafka.observability import app
from tests.support.listener_on_twin import Gate, broker_with, listener_on, loops
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


@asynccontextmanager
async def asking(application: Starlette) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def test_the_life_of_a_listener_as_its_orchestrator_sees_it() -> None:
    listener = listener_on(broker_with("a"))
    async with asking(app(listener)) as client:
        new = [(await client.get(path)).status_code for path in ("/live", "/ready")]
        async with listener:
            running = [(await client.get(path)).status_code for path in ("/live", "/ready")]
        left = [(await client.get(path)).status_code for path in ("/live", "/ready")]
    assert (new, running, left) == ([200, 503], [200, 200], [200, 503])


async def test_a_listener_whose_context_ended_with_an_error_is_not_live() -> None:
    broker = broker_with("a")
    listener = listener_on(broker, restarts=Restarts(max_restarts=0))
    with pytest.raises(Exception, match="ordered"):
        async with listener:
            broker.fail_next_poll(ConsumerFailed("ordered"))
            await anyio.sleep_forever()
    async with asking(app(listener)) as client:
        answer = await client.get("/live")
    assert answer.status_code == 503
    shown = answer.json()["objects"]["listener"]
    assert (shown["state"], shown["live"]) == ("failed", False)
    assert "ordered" in shown["reason"]


async def test_an_error_of_the_body_is_the_end_as_well() -> None:
    listener = listener_on(broker_with("a"))
    with pytest.raises(ValueError, match="no such order"):
        async with listener:
            raise ValueError("no such order")
    health = listener.health()
    assert (health.live, health.state) == (False, "failed")
    assert "ValueError: no such order" in health.reason


async def test_a_stuck_record_is_named() -> None:
    async with (
        listener_on(broker_with("a", "b")) as listener,
        loops(await listener.subscribe(str), work=Gate()) as (loop,),
        asking(app(listener, stuck_after_s=30)) as client,
    ):
        await loop.has_seen(1)
        await anyio.sleep(29)
        before = await client.get("/ready")
        await anyio.sleep(2)
        after = await client.get("/ready")
        live = await client.get("/live")
    assert (before.status_code, after.status_code, live.status_code) == (200, 503, 200)
    shown = after.json()["objects"]["listener"]
    assert shown["state"] == "stuck"
    assert "topic 0: record 0 has been in hand for 31 s" in shown["reason"]


async def test_crashes_and_restarts_are_remembered() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener, asking(app(listener)) as client:
        broker.fail_next_poll(ConsumerFailed("ordered"))
        await until(lambda: listener.status().counters.restarts > 0)
        await anyio.sleep(5)
        answer = await client.get("/status.json")
    assert answer.headers["cache-control"] == "no-store"
    (shown,) = answer.json()["objects"]
    crashed = shown["recent"][0]
    assert (crashed["what"], crashed["actor"]) == ("crashed", "listener/consumer-loop")
    assert "ordered" in crashed["error"]
    assert {each["what"] for each in shown["recent"]} == {"crashed", "restarting", "restarted"}
    assert (shown["health"]["state"], shown["health"]["ready"]) == ("waiting", True)
    assert "no stream or processor reads it now" in shown["health"]["reason"]


async def test_it_needs_something_to_look_at() -> None:
    with pytest.raises(ConfigurationError, match="needs an object"):
        app()
    with pytest.raises(ConfigurationError, match="can be looked at"):
        app("listener")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ConfigurationError, match="away_after_s is in seconds"):
        app(listener_on(broker_with()), away_after_s=-1)


async def test_without_starlette_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "sdml_kafka.observability.routes":
            raise ModuleNotFoundError("No module named 'starlette'", name="starlette.applications")
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    listener: KafkaListener = listener_on(broker_with())
    with pytest.raises(ConfigurationError, match=r"pip install 'sdml-kafka-client\[page\]'"):
        app(listener)
