"""The librdkafka adapter keeps the contract of transactions on a real Kafka."""

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.contracts.librdkafka_transactions_world import LibrdkafkaTransactionsWorld
from tests.support.contracts.transactions import TransactionsContract

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.one_loop]


class TestLibrdkafkaTransactions(TransactionsContract):
    @pytest.fixture
    def world(self, strict_kafka: EmbeddedKafka) -> LibrdkafkaTransactionsWorld:
        return LibrdkafkaTransactionsWorld(strict_kafka, "consumer")
