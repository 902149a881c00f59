import anyio
import pytest

from sdml_kafka.runtime import Mailbox

pytestmark = pytest.mark.anyio


async def test_messages_come_out_in_order_and_room_is_bounded() -> None:
    box = Mailbox[int](2)
    await box.send(1)
    box.send_nowait(2)
    assert (box.depth, box.capacity) == (2, 2)
    with pytest.raises(anyio.WouldBlock):
        box.send_nowait(3)
    assert await box.receive() == 1
    assert box.receive_nowait() == 2
    with pytest.raises(anyio.WouldBlock):
        box.receive_nowait()
    box.close()


async def test_closing_wakes_receivers_and_senders_and_ends_loops() -> None:
    empty, full = Mailbox[int](1), Mailbox[int](1)
    full.send_nowait(1)
    ended: list[str] = []

    async def receive() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await empty.receive()
        ended.append("receive")

    async def loop() -> None:
        async for _ in empty:
            pytest.fail("nothing was sent")
        ended.append("loop")

    async def send() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await full.send(2)
        ended.append("send")

    async with anyio.create_task_group() as tasks:
        for waiter in (receive, loop, send):
            tasks.start_soon(waiter)
        await anyio.wait_all_tasks_blocked()
        empty.close()
        full.close()
        full.close()
    assert sorted(ended) == ["loop", "receive", "send"]
    with pytest.raises(anyio.ClosedResourceError):
        full.send_nowait(3)
    with pytest.raises(anyio.ClosedResourceError):
        await full.send(3)
    with pytest.raises(anyio.ClosedResourceError):
        full.receive_nowait()
    assert full.depth == 0


async def test_a_cancelled_receiver_takes_no_message_along() -> None:
    box = Mailbox[int](1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(box.receive)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        box.send_nowait(1)
    assert box.receive_nowait() == 1
    box.close()


@pytest.mark.parametrize("capacity", [0, -1])
async def test_a_mailbox_has_room(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity must be 1 or more"):
        Mailbox[int](capacity)
