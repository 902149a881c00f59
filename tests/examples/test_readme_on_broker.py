"""The README's programs, as they stand there."""

import ast
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import unique

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(90)]

README = Path(__file__).parents[2] / "README.md"


def programs(heading: str) -> list[str]:
    section = README.read_text().partition(f"\n{heading}\n")[2]
    return re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


async def run(program: str, names: dict[str, Any]) -> None:
    code = compile(program, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, names)


async def test_the_calls(embedded_kafka: EmbeddedKafka) -> None:
    topic = unique("prices")
    server, client = [
        program.replace("localhost:9092", embedded_kafka.bootstrap_servers)
        .replace('"prices"', repr(topic))
        .replace('"pricing"', repr(topic))
        for program in programs("## Calls")[:2]
    ]
    names: dict[str, Any] = {"anyio": anyio, "PRICES": {"figs": 3}}
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, server, names)
            await anyio.wait_all_tasks_blocked()
            await run(client, names)
            tasks.cancel_scope.cancel()
    assert names["price"] == b"3"
