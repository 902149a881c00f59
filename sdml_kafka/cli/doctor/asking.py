"""Asks brokers, and remembers which ones do not answer, so that each is waited for once."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

import anyio

from sdml_kafka.cli.doctor.facts import Failure
from sdml_kafka.errors import AuthenticationFailed, BrokerUnreachable
from sdml_kafka.transport.inspection.wire import MalformedAnswer
from sdml_kafka.transport.interfaces.inspection import Address, Inspector, Request

MAX_TOGETHER = 50
"""The number of brokers that are asked side by side."""

Apis = Mapping[int, tuple[int, int]]


class Asking:
    """Asks single addresses within a timeout.

    Attributes:
        failures: Why addresses did not answer; they are not asked again.
    """

    def __init__(self, inspector: Inspector, timeout_s: float) -> None:
        self._inspector = inspector
        self._timeout_s = timeout_s
        self.failures: dict[Address, Failure] = {}
        self.apis: dict[Address, Apis] = {}
        """The versions that each address understands, once it has said so."""

    async def ask[T](
        self, address: Address, request: Request, read: Callable[[bytes], T]
    ) -> T | None:
        """Return what a broker answers, None if it does not, or is too old for the request."""
        least, highest = self.apis.get(address, {}).get(request.api_key, (0, -1))
        if address in self.failures or (
            address in self.apis and not least <= request.version <= highest
        ):
            return None
        try:
            return read(await self._inspector.ask(address, request, self._timeout_s))
        except AuthenticationFailed as error:
            self.failures[address] = Failure(str(error), is_credentials=True)
        except BrokerUnreachable as error:
            self.failures[address] = Failure(str(error))
        except MalformedAnswer as error:
            self.failures[address] = Failure(f"its answer cannot be read: {error}")
        return None

    async def timed[T](
        self, address: Address, request: Request, read: Callable[[bytes], T]
    ) -> tuple[T | None, float]:
        """Return what a broker answers, and the seconds that it took."""
        begun = time.monotonic()
        answer = await self.ask(address, request, read)
        return answer, time.monotonic() - begun


async def together[K, T](keys: Iterable[K], call: Callable[[K], Awaitable[T]]) -> dict[K, T]:
    """Call for each key, side by side, and return what each call has returned, in their order."""
    wanted = list(dict.fromkeys(keys))
    results = dict[K, T]()
    limit = anyio.CapacityLimiter(MAX_TOGETHER)

    async def run(key: K) -> None:
        async with limit:
            results[key] = await call(key)

    async with anyio.create_task_group() as tasks:
        for key in wanted:
            tasks.start_soon(partial(run, key))
    return {key: results[key] for key in wanted}
