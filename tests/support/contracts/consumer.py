"""The contract of the port's `Consumer`, which every driver keeps on asyncio and on trio."""

import pytest

from tests.support.contracts.consumer_commits import CommitsContract
from tests.support.contracts.consumer_endings import EndingsContract
from tests.support.contracts.consumer_polls import PollsContract
from tests.support.contracts.consumer_positions import PositionsContract
from tests.support.contracts.consumer_rebalances import RebalancesContract
from tests.support.contracts.consumer_world import World


class Contract(
    PositionsContract,
    PollsContract,
    RebalancesContract,
    CommitsContract,
    EndingsContract,
):
    @pytest.fixture
    async def topic(self, world: World) -> str:
        """Create a topic of two partitions."""
        topic = world.name()
        await world.create_topic(topic, 2)
        return topic

    @pytest.fixture
    def group(self, world: World) -> str:
        return world.name()
