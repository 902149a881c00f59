"""The ways from librdkafka's threads into the program's event loop."""

import threading
import weakref

import anyio
import pytest

from sdml_kafka.transport.librdkafka.owner_thread import OwnerThread, ProgramLoop

pytestmark = pytest.mark.anyio


@pytest.mark.uvloop_too
async def test_what_a_thread_has_run_on_the_loop_knows_which_loop_it_is() -> None:
    loop, times, is_done = ProgramLoop(), list[float](), anyio.Event()

    def look() -> None:
        times.append(anyio.current_time())  # as a log line does that is written at most so often
        if len(times) == 2:
            is_done.set()

    for _ in range(2):
        threading.Thread(target=loop.call_soon, args=(look,)).start()
    with anyio.fail_after(10):
        await is_done.wait()


async def test_a_thread_that_is_stopped_as_it_is_started_closes_its_client_once() -> None:
    ends, rest = list[int](), threading.Event()
    thread = OwnerThread(
        "client", ProgramLoop(), lambda: rest.wait(0.01), lambda: ends.append(1), print
    )
    starters = [threading.Thread(target=thread.start) for _ in range(20)]
    for each in starters:
        each.start()
    assert await thread.stop(10.0)
    for each in starters:
        each.join()
    assert ends == [1]


class Client:
    """What a thread owns."""

    def fail(self) -> None:
        raise ValueError("refused")


async def test_an_error_does_not_keep_the_client_that_raised_it() -> None:
    clients = [Client()]
    freed = weakref.ref(clients[0])
    rest = threading.Event()
    thread = OwnerThread("client", ProgramLoop(), lambda: rest.wait(0.01), clients.clear, print)
    thread.start()

    def use() -> None:
        client = clients[0]
        client.fail()

    with pytest.raises(ValueError, match="refused") as caught:
        await thread.call(use)
    assert await thread.stop(10.0)
    assert caught.value.__traceback__ is not None
    assert freed() is None
