"""Each Python block of the README and of docs/ runs on the in-memory twin, or says why not."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.testing.memory.log import MemoryRecord, Misuse
from tests.conftest import ASYNCIO, TRIO
from tests.support import virtual_time
from tests.support.block_runner import compiled, run_block, run_by_pytest
from tests.support.page_blocks import PAGES, ROOT, Block, blocks_of
from tests.support.twin_for_pages import lead_to

BLOCKS = [each for page in PAGES for each in blocks_of(page) if each.language == "python"]
ON_TWIN = [each for each in BLOCKS if each.why_not is None and not each.needs_broker]
NOT_RUN = ROOT / "tests" / "docs" / "not_run.txt"

LOOPS = {
    ("asyncio", False): virtual_time.ASYNCIO.values[0],
    ("trio", False): virtual_time.TRIO.values[0],
    ("asyncio", True): ASYNCIO.values[0],
    ("trio", True): TRIO.values[0],
}
"""The event loops by their names, and whether time is real."""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("block", "anyio_backend"),
    [
        pytest.param(block, LOOPS[loop, block.in_real_time], id=f"{block.name}-{loop}")
        for block in ON_TWIN
        if not block.is_for_pytest
        for loop in block.backends
    ],
)
async def test_a_block_runs(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = MemoryBroker(auto_create=1)
    lead_to(broker, monkeypatch)

    def sent(topic: str) -> Sequence[MemoryRecord]:
        try:
            return broker.records(TopicPartition(topic, 0))
        except Misuse:  # nobody has sent to it
            return ()

    await run_block(block, {"broker": broker, "sent": sent})


def test_the_blocks_of_tests_pass(tmp_path: Path) -> None:
    run_by_pytest([each for each in ON_TWIN if each.is_for_pytest], tmp_path)


def test_each_block_that_does_not_run_is_listed_with_its_reason() -> None:
    skipped = [each for each in BLOCKS if each.why_not is not None]
    for each in skipped:
        compiled(each.code, each.page, each.line)
    found = [f"{each.page}: {each.code.splitlines()[0]}: {each.why_not}" for each in skipped]
    assert found == NOT_RUN.read_text().splitlines()
