"""The librdkafka adapter keeps the contract of producers on a real Kafka."""

import pytest

from tests.support.contracts.producer import ProducerContract
from tests.support.contracts.producer_world import ProducerWorld

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


class TestLibrdkafkaProducer(ProducerContract):
    @pytest.fixture
    def world(self, world: ProducerWorld) -> ProducerWorld:
        return world
