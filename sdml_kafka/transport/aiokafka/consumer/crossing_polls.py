"""Poll a driver on another loop, with one wake-up for each poll instead of two.

How this works. A wake-up of another thread costs 35 us of CPU, as much as a whole call of RPC, and
the two threads fight for the interpreter while both are awake; a task for each poll on a loop in
the same thread costs a third of that. So the program does not wake the other side to ask for the
next poll: it leaves its request where the other side finds it. That one waits for records by
itself, and looks for a request when there are some. Only if it was there first, and waits for the
request, the program wakes it. What is said of a thread here holds for a loop in the same thread.

Rules for whoever edits this file:

- A poll that takes records has a request of the program, made after the poll before it has come
  across. So what is held stays within its bounds, which the program knows, and the thread is never
  ahead: it has waited for records, and has taken none.
- Whoever puts something down looks afterwards whether the other one waits for it; whoever begins to
  wait looks afterwards whether something was put down. The thread alone sets and clears `_asked`,
  the program alone `_waiter`. So no wake-up is lost.
- What a poll has taken comes across, also when its caller was cancelled: the next caller gets it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from functools import partial

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.runtime.waiter import Waiter, waiter_maker, wake
from sdml_kafka.transport.aiokafka.consumer.driver import ConsumerDriver
from sdml_kafka.transport.asyncio_loop import Home
from sdml_kafka.transport.interfaces.consumer import POLL_TIMEOUT_S
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Polled

CLOSED = "the consumer is closed"

Request = tuple[Collection[TopicPartition], int, float, int]
"""The arguments of a poll."""


class CrossingPolls:
    """Carries the requests of one task of the program to a driver, and its answers back."""

    def __init__(self, home: Home, driver: ConsumerDriver) -> None:
        """Begin nothing yet: the first poll does."""
        self._home = home
        self._driver = driver
        self._requests: deque[Request] = deque()
        """The request that the thread has not taken yet, if there is one."""
        self._answers: deque[Polled | Exception] = deque()
        """The answers that have come across; the program's."""
        self._is_asked = False
        """True if an answer is still to come; the program's."""
        self._new_waiter: Callable[[], Waiter] = waiter_maker()
        self._waiter: Waiter | None = None
        self._has_begun = False
        self._failure: ConsumerFailed | None = None
        """Why no answer comes any more; the program's."""
        self._asked: asyncio.Future[None] | None = None
        """Ends the thread's wait for a request."""
        self._serving: asyncio.Task[None] | None = None
        self._is_ended = False

    # -- the program's side --------------------------------------------------------------

    async def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Polled:
        """Return what `ConsumerDriver.poll` returns, or raise what it raises."""
        if not (self._answers or self._is_asked):
            self._ask((ready, max_records, timeout_s, seeks))
        while not self._answers:
            if self._failure is not None:
                raise self._failure
            self._waiter = self._new_waiter()
            try:
                await self._waiter
            except BaseException:
                self._withdraw()
                raise
            finally:
                self._waiter = None
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ask(self, request: Request) -> None:
        self._is_asked = True
        self._requests.append(request)
        if (asked := self._asked) is not None:
            self._home.call_soon(partial(wake, asked))
        elif not self._has_begun:
            self._has_begun = True
            self._home.call_soon(self._begin)

    def _withdraw(self) -> None:
        """Take back the request of a caller that was cancelled, unless the thread has taken it."""
        try:
            self._requests.pop()
        except IndexError:
            pass
        else:
            self._is_asked = False

    def _take(self, answer: Polled | Exception) -> None:
        self._is_asked = False
        self._answers.append(answer)
        if self._waiter is not None:
            wake(self._waiter)

    def _fail(self, failure: ConsumerFailed) -> None:
        self._failure = failure
        if self._waiter is not None:
            wake(self._waiter)

    # -- the thread's side ---------------------------------------------------------------

    def _begin(self) -> None:
        if self._is_ended:
            self._home.call_back(partial(self._fail, ConsumerFailed(CLOSED)))
        else:
            self._serving = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        failure = "the client's task was cancelled"
        try:
            while True:
                await self._serve_one(asyncio.get_running_loop())
        except asyncio.CancelledError:
            if self._is_ended:
                failure = CLOSED
        except Exception as error:
            failure = f"polling failed: {error!r}"
        finally:
            self._home.call_back(partial(self._fail, ConsumerFailed(failure)))

    async def _serve_one(self, loop: asyncio.AbstractEventLoop) -> None:
        driver, began = self._driver, loop.time()
        await driver.wait_fetched(POLL_TIMEOUT_S)
        if not self._requests:
            await self._wait_asked(loop)
            began = loop.time()
        try:
            ready, max_records, timeout_s, seeks = self._requests.popleft()
        except IndexError:
            return  # it was withdrawn
        left_s = max(0.0, began + timeout_s - loop.time())
        answer: Polled | Exception
        try:
            answer = await driver.poll(ready, max_records, left_s, seeks)
        except Exception as error:
            answer = error
        self._home.call_back(partial(self._take, answer))

    async def _wait_asked(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asked = loop.create_future()
        try:
            if not self._requests:
                await self._asked
        finally:
            self._asked = None

    def end(self) -> None:
        """Serve no more; a poll that waits fails."""
        self._is_ended = True
        if self._serving is not None:
            self._serving.cancel()
