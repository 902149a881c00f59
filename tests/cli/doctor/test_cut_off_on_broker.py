"""An examination that is cancelled at any await leaves no connection and no task behind."""

import anyio
import psutil
import pytest

from sdml_kafka.cli.doctor.examination import Examination, Plan
from sdml_kafka.cli.doctor.facts import Ours
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.connect import inspector
from sdml_kafka.transport.interfaces.inspection import Address, Inspector, Request
from tests.support.checkpoints import watched
from tests.support.kafka_from_outside import commit, create_topic, produce, unique
from tests.support.tasks import task_count
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(120)]


class CuttingOff:
    """An inspector that cancels a scope at an await of its questions."""

    inspector: Inspector

    def __init__(self, scope: anyio.CancelScope, at: int) -> None:
        self.seen = 0
        self._scope, self._at = scope, at

    def _count(self) -> None:
        self.seen += 1
        if self.seen == self._at:
            self._scope.cancel()

    async def ask(self, address: Address, request: Request, timeout_s: float) -> bytes:
        answers = list[bytes]()

        async def ask() -> None:
            answers.append(await self.inspector.ask(address, request, timeout_s))

        await watched(ask(), self._count)
        return answers[0]


async def test_an_examination_that_is_cut_off(embedded_kafka: EmbeddedKafka) -> None:
    servers, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(servers, unique("orders"), 2)
    await produce(servers, topic, "abc", partition=1)
    await commit(servers, group, topic, 1, 1)
    port = embedded_kafka.ports[0]
    addresses = ("127.0.0.1", port), ("localhost", port)
    plan = Plan(addresses, (topic,), group, 30.0, 0.0)
    connections, tasks = psutil.Process().net_connections, task_count()
    before, at = len(connections()), 1
    while True:
        scope = anyio.CancelScope()
        cutting = CuttingOff(scope, at)
        with scope:
            async with inspector({}) as cutting.inspector:
                await Examination(cutting, plan, Ours()).run()
        assert task_count() == tasks
        if cutting.seen < at:
            break
        at += 1
    assert at > 10
    await until(lambda: len(connections()) <= before, within_s=10)
