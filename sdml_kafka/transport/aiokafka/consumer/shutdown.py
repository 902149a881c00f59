# pyright: basic
# aiokafka is not typed.
"""Stop a consumer within a timeout, whatever state its group is in."""

import asyncio

from sdml_kafka.transport.aiokafka.client import Client, error_of
from sdml_kafka.transport.aiokafka.consumer import internals

LEAVE_TIMEOUT_S = 0.5
FINISH_TIMEOUT_S = 1.0


async def stop_consumer(consumer: Client, timeout_s: float) -> None:
    """Leave the group and close every socket and task of a consumer."""
    stopping = asyncio.create_task(consumer.stop())
    # asyncio logs an error that nobody looks at, and nobody does after the timeout.
    stopping.add_done_callback(error_of)
    await asyncio.wait({stopping}, timeout=timeout_s)
    if not stopping.done():
        # It waits for a rebalance that other members hold up, and they would wait for this one.
        leaving = asyncio.create_task(internals.leave_group(consumer))
        leaving.add_done_callback(error_of)
        await asyncio.wait({leaving}, timeout=LEAVE_TIMEOUT_S)
        leaving.cancel()
        stopping.cancel()
        await asyncio.wait({leaving, stopping}, timeout=LEAVE_TIMEOUT_S)
    if not stopping.done() or error_of(stopping) is not None:
        finishing = asyncio.create_task(internals.finish_stop(consumer))
        finishing.add_done_callback(error_of)
        await asyncio.wait({finishing}, timeout=FINISH_TIMEOUT_S)
