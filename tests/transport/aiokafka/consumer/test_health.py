"""How often the client is looked at, by the number of partitions."""

from types import SimpleNamespace
from typing import Any

import pytest

from sdml_kafka.transport.aiokafka.consumer import health, internals
from sdml_kafka.transport.aiokafka.consumer.health import (
    REPORT_INTERVAL_S,
    TIMELY_LOOK_S,
    HealthCheck,
    PartitionEnds,
)
from sdml_kafka.transport.interfaces.consumer import POLL_TIMEOUT_S
from sdml_kafka.transport.interfaces.records import TopicPartition

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("count", "interval_s"), [(1, REPORT_INTERVAL_S), (2000, 0.2), (3000, 0.3), (90_000, 0.5)]
)
async def test_thousands_of_partitions_are_looked_at_less_often(
    monkeypatch: pytest.MonkeyPatch, count: int, interval_s: float
) -> None:
    now = 100.0
    loop = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr(health, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    monkeypatch.setattr(internals, "last_fetches", lambda *_: ())
    consumer: Any = SimpleNamespace(
        _group_id=None, _isolation_level="read_uncommitted", _client=SimpleNamespace(_conns={})
    )
    topics: Any = SimpleNamespace(missing=frozenset, nearest={})
    connecting: Any = SimpleNamespace(unreachable=lambda: None)
    ends = PartitionEnds(consumer)
    check = HealthCheck(
        consumer, topics, ends, connecting, refresh_interval_s=300.0, asks_for_ends=False
    )
    check.check([TopicPartition("topic", number) for number in range(count)], {}, None)
    now += interval_s - 0.01
    assert not check.is_due()
    now += 0.02
    assert check.is_due()


def test_a_poll_that_waits_does_not_make_a_look_late() -> None:
    assert TIMELY_LOOK_S / 2 + POLL_TIMEOUT_S <= TIMELY_LOOK_S
