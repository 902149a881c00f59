"""A driver's means to look at a Kafka from outside: single requests to single addresses."""

from typing import Protocol

from attrs import frozen

Address = tuple[str, int]
"""A host and a port."""


@frozen
class Request:
    """A request as its bytes, in a version of its API that has flexible headers."""

    api_key: int
    version: int
    body: bytes


class Inspector(Protocol):
    """Asks brokers, each at an address of its own."""

    async def ask(self, address: Address, request: Request, timeout_s: float) -> bytes:
        """Return the answer to a request, behind its correlation id.

        The connection is kept for the next request.

        Args:
            address: Where to connect to, if there is no connection yet.
            request: What to send.
            timeout_s: Seconds for all of it, connecting included.

        Raises:
            BrokerUnreachable: There is no connection, or no answer; the text says why.
            AuthenticationFailed: The broker or the client refused to trust the other.
        """
        ...
