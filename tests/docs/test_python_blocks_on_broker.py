"""The Python blocks of the README and of docs/ that need a broker run on the embedded Kafka."""

import re
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from sdml_kafka.testing import EmbeddedKafka
from tests.conftest import ASYNCIO, TRIO
from tests.support.block_runner import run_block, run_by_pytest
from tests.support.kafka_from_outside import create_topic, produce, unique
from tests.support.page_blocks import PAGES, Block, blocks_of
from tests.support.processing_on_broker import records_of

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]

LOOPS = {"asyncio": ASYNCIO.values[0], "trio": TRIO.values[0]}
BLOCKS = [
    each
    for page in PAGES
    for each in blocks_of(page)
    if each.language == "python" and each.why_not is None and each.needs_broker
]

# That the package's own fixture starts a Kafka is tested in tests/testing/.
SHARED_KAFKA = """
import types, pytest

@pytest.fixture(scope="session")
def embedded_kafka():
    return types.SimpleNamespace(bootstrap_servers={!r})
"""


def elsewhere(block: Block, kafka: EmbeddedKafka) -> Block:
    """Return the block with the address of another Kafka, and its names made its own."""
    names = {name: unique(name) for name in block.own_names}

    def renamed(code: str) -> str:
        for name, own in names.items():
            code = re.sub(rf'"{re.escape(name)}(?=["-])', f'"{own}', code)
        return code.replace("localhost:9092", kafka.bootstrap_servers)

    return evolve(
        block,
        before=renamed(block.before),
        code=renamed(block.code),
        then=renamed(block.then),
        earlier=tuple(elsewhere(each, kafka) for each in block.earlier),
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("block", "anyio_backend"),
    [
        pytest.param(block, LOOPS[loop], id=f"{block.name}-{loop}")
        for block in BLOCKS
        if not block.is_for_pytest
        for loop in block.backends
    ],
)
async def test_a_block_runs(block: Block, embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    acts = {each.__name__: partial(each, bootstrap) for each in (create_topic, produce, records_of)}
    await run_block(elsewhere(block, embedded_kafka), {"bootstrap": bootstrap, **acts})


def test_the_blocks_of_tests_pass(embedded_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    blocks = [elsewhere(each, embedded_kafka) for each in BLOCKS if each.is_for_pytest]
    run_by_pytest(blocks, tmp_path, SHARED_KAFKA.format(embedded_kafka.bootstrap_servers))
