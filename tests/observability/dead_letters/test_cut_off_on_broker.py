"""Requests about dead letters that are cancelled at any await: nothing is left, nothing half done.

As by a server that shuts down, or one that cancels the answer to a client that has left.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import psutil
import pytest

from sdml_kafka.observability import app
from sdml_kafka.testing import EmbeddedKafka
from tests.support.checkpoints import cancelled_at
from tests.support.dead_letter_topics import DeadTopic
from tests.support.processing_on_broker import records_of
from tests.support.tasks import task_count
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(180)]

TOKEN = "a-token-of-16-characters"
COUNT = 6
TIMES = 25
"""How often each is cut off, about: an await of each kind."""


@pytest.mark.one_loop
@pytest.mark.parametrize("what", ["list", "show", "replay one", "replay all"])
async def test_a_request_that_is_cut_off(embedded_kafka: EmbeddedKafka, what: str) -> None:
    topic = await DeadTopic.create(embedded_kafka)
    await topic.fill([b"%d" % number for number in range(COUNT)])
    application = app(topic.listener(), dead_letter_token=TOKEN)
    place = {"topic": topic.dead, "partition": 1, "offset": 1}
    path, asked = {
        "list": ("", {}),
        "show": ("/show", place),
        "replay one": ("/replay", place),
        "replay all": ("/replay", {"topic": topic.dead}),
    }[what]
    answers = list[httpx.Response]()

    async def ask() -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        where: Any = {"transport": httpx.ASGITransport(application), "base_url": "http://service"}
        async with httpx.AsyncClient(**where, headers=headers) as client:
            answers.append(await client.post(f"/dead-letters{path}", json=asked))

    connections, tasks = psutil.Process().net_connections, task_count()
    before = len(connections())
    await cut_off(ask)
    assert answers
    assert task_count() == tasks
    while answers[-1].status_code == 200 and not answers[-1].json().get("ended", True):
        await ask()
    await until(lambda: len(connections()) <= before, within_s=10)
    read = records_of(topic.servers, topic.first, isolation="read_committed")
    values = sorted(each.value or b"" for each in await read)
    wanted = {"replay one": [b"3"], "replay all": [b"%d" % number for number in range(COUNT)]}
    assert values == wanted.get(what, [])


async def cut_off(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Cancel the work at some of its awaits, from the first to the last, until it ends before."""
    at = 1
    while await cancelled_at(at, work()):
        at += max(1, at // TIMES)
