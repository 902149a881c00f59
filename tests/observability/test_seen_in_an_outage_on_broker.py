"""The page, `top` and `doctor` work while the broker is frozen, killed, and back again."""

import json
import subprocess
from typing import Any

import anyio
import httpx
import pytest

from sdml_kafka.observability import app
from sdml_kafka.observability.dead_letters import desk
from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import EXIT_TIMEOUT_S, PROGRAM
from tests.support.dead_letter_topics import DeadTopic
from tests.support.waiting import until
from tests.support.web_server import web_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.soak,
    pytest.mark.timeout(180),
]

TOKEN = "a-token-of-16-characters"
PATHS = "/live", "/ready", "/status.json", "/metrics", "/"
TIMEOUT_S = 2.0
QUICK_S = 10.0
"""Seconds that all of these may take together on a busy machine: no broker is asked."""


class Outside:
    """Whoever looks at a program: a browser, and people at a terminal."""

    def __init__(self, address: str, kafka: EmbeddedKafka, topic: str) -> None:
        self._address, self._kafka, self._topic = address, kafka, topic

    async def look(self) -> tuple[dict[str, int], Any, str, set[str]]:
        """Return the statuses, the dead letters, the picture of `top`, the doctor's findings."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=self._address, timeout=30) as client:
            began = anyio.current_time()
            statuses = {path: (await client.get(path)).status_code for path in PATHS}
            assert anyio.current_time() - began < QUICK_S
            listed = (await client.post("/dead-letters", json={}, headers=headers)).json()
        _, shown = await self._run("top", self._address, "--once")
        where = "--bootstrap", self._kafka.bootstrap_servers, "--timeout", str(TIMEOUT_S)
        code, found = await self._run("doctor", self._topic, *where, "--json")
        document = json.loads(found)
        assert code == document["exit_code"]
        return statuses, listed["topics"], shown, {each["code"] for each in document["findings"]}

    async def _run(self, *words: str) -> tuple[int, str]:
        def run() -> subprocess.CompletedProcess[str]:
            argv = [PROGRAM, *words]
            environment = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "200", "no_proxy": "*"}
            return subprocess.run(
                argv,
                capture_output=True,
                text=True,
                timeout=EXIT_TIMEOUT_S,
                env=environment,
                check=False,
            )

        done = await anyio.to_thread.run_sync(run)
        assert done.stderr == ""
        return done.returncode, done.stdout


async def test_page_top_and_doctor_in_an_outage(
    mortal_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "TIMEOUT_S", TIMEOUT_S)
    topic = await DeadTopic.create(mortal_kafka)
    await topic.fill([b"0"])
    async with topic.listener() as listener:
        application = app(listener, dead_letter_token=TOKEN)
        async with web_server(application) as address:
            outside = Outside(address, mortal_kafka, topic.first)
            await until(lambda: listener.health().ready, within_s=20)
            well = await outside.look()
            await anyio.to_thread.run_sync(mortal_kafka.freeze)
            try:
                await until(lambda: not listener.health().ready, within_s=20)
                frozen = await outside.look()
            finally:
                await anyio.to_thread.run_sync(mortal_kafka.thaw)
            await anyio.to_thread.run_sync(mortal_kafka.kill)
            await until(lambda: listener.health().state == "broker away", within_s=20)
            killed = await outside.look()
            await anyio.to_thread.run_sync(mortal_kafka.restart)
            await until(lambda: listener.health().ready, within_s=20)
            back = await outside.look()
    for statuses, (listed,), shown, found in (well, back):
        assert set(statuses.values()) == {200}
        assert (listed["error"], len(listed["letters"])) == (None, 1)
        assert "live, ready" in shown
        assert not found & {"bootstrap-unreachable", "broker-unreachable", "broker-stopped"}
    for statuses, (listed,), shown, found in (frozen, killed):
        assert statuses == {path: 503 if path == "/ready" else 200 for path in PATHS}
        assert listed["error"]
        assert "! broker away" in shown
        assert "bootstrap-unreachable" in found
