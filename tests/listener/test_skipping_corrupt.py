"""Batches that do not decode are skipped, counted and logged, where the program says so."""

import logging
from typing import Any

import anyio
import pytest

from sdml_kafka.errors import ConfigurationError
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    broker_with,
    fill,
    listener_on,
    loops,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_reading_goes_on_behind_a_batch_that_does_not_decode(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = broker_with("a", "b", "c", partitions=2)
    fill(broker, ["x"], partition=1)
    broker.spoil(P0, "CorruptRecordException: CRC", records=2)
    async with (
        listener_on(broker, on_corrupt="skip") as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await loop.has_seen(2)
        assert sorted(loop.seen) == ["c", "x"]
        status = listener.status()
        assert status.counters.corrupt == 2
        assert (status.counters.jumps, status.counters.lost_offsets) == (0, 0)
        assert all(each.held is None for each in status.partitions.values())
        fill(broker, ["d"])
        await loop.has_seen(3)
    (line,) = [each for each in caplog.records if "does not decode" in each.getMessage()]
    assert line.levelno == logging.ERROR
    assert "'topic' partition 0" in line.getMessage()
    assert "goes on at 2, not at 0: 2 offsets are lost" in line.getMessage()


async def test_a_batch_at_the_end_is_committed_past() -> None:
    broker = broker_with("a", partitions=2)
    async with (
        listener_on(broker, on_corrupt="skip") as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await loop.has_seen(1)
        broker.spoil(P0, "CRC")
        fill(broker, ["bad"])
        await until(lambda: listener.status().counters.corrupt == 1)
        fill(broker, ["x"], partition=1)
        await loop.has_seen(2)
    assert broker.committed(GROUP, P0) == 2
    assert broker.committed(GROUP, P1) in (0, 1)


async def test_without_it_the_partition_is_held() -> None:
    broker = broker_with("a")
    broker.spoil(P0, "CRC")
    async with (
        listener_on(broker, on_corrupt="hold") as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await anyio.sleep(10.0)
        assert listener.status().partitions[P0].held == "CRC"
        assert (loop.seen, listener.status().counters.corrupt) == ([], 0)


@pytest.mark.parametrize("value", ["raise", True, None])
async def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="on_corrupt is 'hold' or 'skip'"):
        listener_on(broker_with(), on_corrupt=value)
