"""Cutting off a listener that sends on what it reads, in each turn of the event loop.

The broker is looked at in each turn, and the listener is cancelled in one of them. So what a kill
would leave behind at any moment is seen.
"""

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel

from sdml_kafka import Batch, DeadLetter, Delivery, KafkaListener, Retry, Send
from sdml_kafka.consuming.offsets.offset_map import decode
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TOPIC
from tests.support.tasks import task_count

COUNT = 5
OUTPUT, LETTERS = "out", f"{TOPIC}-dlt"


def full_broker(latency_s: float, **latencies: float) -> MemoryBroker:
    """Return a broker with records of three keys, whose commits take that long."""
    broker = MemoryBroker({TOPIC: 1, OUTPUT: 1, LETTERS: 1})
    for number in range(COUNT):
        broker.produce(TOPIC, b"%d" % number, partition=0, key=b"%d" % (number % 3))
    broker.slow_down(commit_s=latency_s, **latencies)
    return broker


def done(broker: MemoryBroker) -> list[int]:
    """Return the records that are committed as finished."""
    offset = broker.committed(GROUP, P0) or 0
    beyond = decode(offset, broker.committed_metadata(GROUP, P0) or "")
    return [*range(offset), *(at for some in beyond for at in range(*some))]


def declare(listener: KafkaListener, *, in_batches: bool, **options: Any) -> KafkaListener:
    """Have the listener send on each record; one fails once, and one for good."""

    async def work(value: str, delivery: Delivery[str]) -> Send:
        await anyio.lowlevel.checkpoint()
        if value == "3" or (value == "1" and delivery.attempt == 1):
            raise ValueError(value)
        return Send(OUTPUT, value.encode())

    async def work_together(deliveries: list[Delivery[str]]) -> list[Send]:
        sends = list[Send]()
        for delivery in deliveries:
            try:
                sends.append(await work(delivery.value, delivery))
            except ValueError as error:
                delivery.fail(error)
        return sends

    options |= {
        "order": "key",
        "retry": Retry(attempts=2, backoff_s=0.1, jitter=0.0),
        "on_failure": DeadLetter(),
    }
    if in_batches:
        listener.processor(str, batch=Batch(size=2, interval_s=0.1), **options)(work_together)
    else:
        listener.processor(str, **options)(work)
    return listener


class CuttingOff:
    """Listeners that are cut off, each on a broker of its own."""

    def __init__(
        self,
        make_broker: Callable[[], MemoryBroker],
        make_listener: Callable[[MemoryBroker], KafkaListener],
        check: Callable[[MemoryBroker], None],
        turns: int,
        rest_s: float,
    ) -> None:
        """Begin before the first one.

        Args:
            make_broker: Returns a broker on which nothing is done.
            make_listener: Returns a listener that does it.
            check: Fails unless what the broker has at this moment may be there.
            turns: The turns of the loop in which something may go on before time has to pass.
            rest_s: Seconds that pass then.
        """
        self._make_broker = make_broker
        self._make_listener = make_listener
        self._check = check
        self._turns = turns
        self._rest_s = rest_s

    async def in_each_turn(self, step: int = 1) -> None:
        """Cut off a listener in each turn until one is done before; a successor does the rest.

        With a `step` so many turns lie between two of these.
        """
        turn, tasks = 0, task_count()
        while True:
            broker = self._make_broker()
            if not await self._cut_off_in(turn, broker):
                break
            assert broker.members(GROUP) == {}
            await self._finish_rest(broker)
            assert task_count() == tasks
            turn += step
        assert turn > self._turns

    async def _cut_off_in(self, turn: int, broker: MemoryBroker) -> bool:
        """Cancel a listener in this turn of the loop; return whether it came so far."""
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                at = 0

                async def look() -> None:
                    nonlocal at
                    while broker.committed(GROUP, P0) != COUNT:
                        for _ in range(self._turns):
                            self._check(broker)
                            if at == turn:
                                scope.cancel()
                            at += 1
                            await anyio.lowlevel.checkpoint()
                        await anyio.sleep(self._rest_s)
                    tasks.cancel_scope.cancel()

                tasks.start_soon(look)
                async with self._make_listener(broker):
                    await anyio.sleep_forever()
        self._check(broker)
        return at > turn

    async def _finish_rest(self, broker: MemoryBroker) -> None:
        """Let a successor handle what was not committed, and see that nothing is lost."""
        async with self._make_listener(broker):
            with anyio.fail_after(60):
                while broker.committed(GROUP, P0) != COUNT:
                    self._check(broker)
                    await anyio.sleep(0.01)
        self._check(broker)
