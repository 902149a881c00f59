"""A client and a server hold no more after many calls than after few."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.backends import name_of
from tests.support.kafka_from_outside import create_topic, unique

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.usefixtures("client"),
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).parents[2]
SPARE_MB = 6.0
"""The megabytes that a process may hold more after many calls, since no heap is quite as full as
it was. If each of 1,000,000 calls left one object of 10 bytes, that would be more."""
SPARE_OBJECTS = 50
SPARE_TASKS = 5
"""The number of tasks that a process may have more: aiokafka starts and ends some at times."""


class Part:
    """The client or the server, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    async def readline(self) -> str:
        assert self._process.stdout is not None
        return await anyio.to_thread.run_sync(self._process.stdout.readline)

    async def held(self, calls: int = 0) -> Any:
        """Make `calls` more calls, and return what the process holds then."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        return json.loads(await self.readline())


@contextmanager
def running(*arguments: str) -> Iterator[Part]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.rpc_footprint", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield Part(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.one_loop
@pytest.mark.parametrize(
    ("few", "many"),
    [
        (5_000, 15_000),
        pytest.param(10_000, 1_000_000, marks=(pytest.mark.soak, pytest.mark.timeout(3600))),
    ],
)
async def test_many_calls_leave_no_more_behind_than_few(
    embedded_kafka: EmbeddedKafka,
    anyio_backend: Any,
    few: int,
    many: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bootstrap, backend = embedded_kafka.bootstrap_servers, name_of(anyio_backend)
    topic = await create_topic(bootstrap, unique("memory"), 4)
    with (
        running(backend, "server", bootstrap, topic) as server,
        running(backend, "client", bootstrap, topic) as client,
    ):
        assert [await part.readline() for part in (server, client)] == ["ready\n"] * 2
        before = {"client": await client.held(few), "server": await server.held()}
        began = anyio.current_time()
        after = {"client": await client.held(many - few), "server": await server.held()}
        took_s = anyio.current_time() - began
    with capsys.disabled():
        print(f"[{many} calls, the last {many - few} in {took_s:.0f} s]", file=sys.stderr)
        for name in before:
            print(f"[{name}: {shown(before[name])} -> {shown(after[name])}]", file=sys.stderr)
    counters = after["client"]["counters"]
    assert counters["in_flight"] == 0
    assert counters["replied"] + counters["timed_out"] + counters["cancelled"] == many
    assert counters["timed_out"] + counters["cancelled"] > many // 11
    for name in before:
        assert after[name]["tasks"] <= before[name]["tasks"] + SPARE_TASKS
        assert more_objects(before[name]["objects"], after[name]["objects"]) == {}
        assert after[name]["rss_mb"] < before[name]["rss_mb"] + SPARE_MB


def shown(held: Any) -> str:
    return f"{held['rss_mb']:.1f} MB, {held['all_objects']} objects, {held['tasks']} tasks"


def more_objects(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in more.items() if count > SPARE_OBJECTS}
