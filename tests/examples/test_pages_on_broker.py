"""The programs of the README and of the pages in docs/, as they stand there."""

import ast
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.processing_on_broker import records_of

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(90)]

ROOT = Path(__file__).parents[2]


def programs(page: str, kafka: EmbeddedKafka, **names: str) -> list[str]:
    """Return the page's programs, with another Kafka and other topics and groups."""
    text = (ROOT / page).read_text().replace("localhost:9092", kafka.bootstrap_servers)
    for shown, used in names.items():
        text = text.replace(f'"{shown}"', repr(used))
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


async def run(program: str, names: dict[str, Any]) -> None:
    code = compile(program, "<page>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if (waiting := eval(code, names)) is not None:  # there is none without an `await`
        await waiting


async def test_the_listener_of_the_readme(embedded_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("orders"), 1)
    program = programs("README.md", embedded_kafka, orders=topic, billing=topic)[0]
    program, last_line = program.rsplit("\n\n\n", 1)
    assert last_line.startswith("anyio.run(main)")

    seen, first_seen = list[object](), anyio.Event()

    def show(order: object) -> None:
        seen.append(order)
        first_seen.set()

    names: dict[str, Any] = {"print": show}
    await run(program, names)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(names["main"])
            while not first_seen.is_set():  # a new group begins at the end, so it may miss some
                await produce(embedded_kafka.bootstrap_servers, topic, ['{"item": "figs"}'])
            tasks.cancel_scope.cancel()
    assert seen[0] == {"item": "figs"}


async def test_the_processor_of_the_readme(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    orders, invoices = [await create_topic(bootstrap, unique(name), 1) for name in ("o", "i")]
    shown = {"orders": orders, "invoices": invoices, "billing": orders}
    program = programs("README.md", embedded_kafka, **shown)[1]
    program, last_line = program.rsplit("\n\n\n", 1)
    assert last_line.startswith("anyio.run(main)")
    names: dict[str, Any] = {}
    await run(program, names)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(names["main"])
            while not (sent := await records_of(bootstrap, invoices)):
                await produce(bootstrap, orders, ['{"cents": 5}'])  # it may miss some, as above
            tasks.cancel_scope.cancel()
    assert sent[0].value == b'{"cents":5}'


async def test_the_calls(embedded_kafka: EmbeddedKafka) -> None:
    topic = unique("prices")
    shown = {"prices": topic, "pricing": topic}
    server, client = programs("docs/calls.md", embedded_kafka, **shown)[:2]
    names: dict[str, Any] = {"anyio": anyio, "PRICES": {"figs": 3}}
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, server, names)
            await anyio.wait_all_tasks_blocked()
            await run(client, names)
            tasks.cancel_scope.cancel()
    assert names["price"] == b"3"
