"""The live page of the demo's participants, who come and go."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import anyio
import httpx
import pytest

from sdml_kafka import KafkaListener, ParserSpec, parse_text
from sdml_kafka.cli.demo import live_page as module
from sdml_kafka.cli.demo.live_page import live_page
from sdml_kafka.observability.status_document import Observed
from sdml_kafka.testing import MemoryBroker

ORDERS: ParserSpec[str] = {"topics": ["orders"], "type": str, "parser": parse_text}


@pytest.mark.anyio
async def test_it_shows_who_is_there(anyio_backend_name: Any) -> None:
    broker = MemoryBroker({"orders": 1})
    first, second = (KafkaListener([ORDERS], transport=broker.connect("group")) for _ in range(2))
    there: Sequence[Observed] = [first]
    with live_page(anyio_backend_name, lambda: there) as page:
        assert page is not None
        assert page.address.startswith("http://127.0.0.1:")
        async with (
            anyio.create_task_group() as tasks,
            httpx.AsyncClient(base_url=page.address) as browser,
            first,
        ):
            tasks.start_soon(page.serve)
            assert "<title>sdml-kafka</title>" in (await browser.get("/")).text
            assert (await browser.get("/ready")).status_code == 200
            there = [first, second]
            assert (await browser.get("/ready")).status_code == 503  # the second was not entered
            there = []
            assert len((await browser.get("/status.json")).json()["objects"]) == 2
            for token, status in ("wrong", 403), (page.token, 200):
                headers = {"Authorization": f"Bearer {token}"}
                answer = await browser.post("/dead-letters", json={}, headers=headers)
                assert answer.status_code == status
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("missing", ["starlette", "hypercorn"])
def test_there_is_none_without_its_libraries(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def find_spec(name: str) -> Any:
        return None if name == missing else importlib.util.find_spec(name)

    monkeypatch.setattr(module, "find_spec", find_spec)
    with live_page("asyncio", list) as page:
        assert page is None
