"""The ages that a snapshot shows."""

import anyio
import pytest

from sdml_kafka.runtime import (
    Restarts,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio
EXACT = Restarts(backoff_s=1, backoff_max_s=5, jitter=0)


async def test_the_snapshot_shows_ages(stage: Stage) -> None:
    supervisor = Supervisor("root", [stage.spec("a")], restarts=EXACT)
    assert supervisor.snapshot().age_s == 0
    async with supervise(supervisor):
        await anyio.sleep(10)
        stage.crash("a")
        await stage.until("-a")
        assert supervisor.snapshot().children[0].age_s == 0
        await stage.until("+a", 2)
        await anyio.sleep(2)
        tree = supervisor.snapshot()
        assert (tree.age_s, tree.children[0].age_s) == (13, 2)
    assert supervisor.snapshot().age_s == 0
