# pyright: basic
# aiokafka is not typed.
"""Carry single requests to single addresses, over connections of aiokafka's that log in as usual.

The private attributes of a connection that are used, checked on aiokafka 0.13.0, 0.14.0 and
0.15.0rc1: `_protocol`, to see whether there was a connection at all; `_reader`, and
`_create_reader_task`, which begins to read from it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from typing import Any

import anyio
from aiokafka.conn import AIOKafkaConnection

from sdml_kafka.errors import BrokerUnreachable
from sdml_kafka.transport.aiokafka.connection_failures import (
    MAX_ANSWER_BYTES,
    reason_of,
    refused_credentials,
)
from sdml_kafka.transport.aiokafka.log_filter import limited_logs, own_context
from sdml_kafka.transport.aiokafka.quick_headers import (
    Encoded,
    ResponseHeader,
    request_header,
    response_header,
)
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.inspection.wire import NO_TAGS
from sdml_kafka.transport.interfaces.inspection import Address, Inspector, Request

CLOSE_TIMEOUT_S = 2.0
_PASSED_ON = (
    "client_id",
    "ssl_context",
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_kerberos_service_name",
    "sasl_kerberos_domain_name",
    "sasl_oauth_token_provider",
)
"""The options of a client that are those of a connection as well."""


@asynccontextmanager
async def open_inspector(options: Mapping[str, Any]) -> AsyncGenerator[Inspector]:
    """Open an inspector that logs in with a client's options."""
    given = {name: options[name] for name in _PASSED_ON if name in options}
    with limited_logs():
        async with open_home() as home:
            home.call_soon(own_context)  # a thread of its own has a context of its own
            inspector = AiokafkaInspector(home, given)
            try:
                yield inspector
            finally:
                with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                    await inspector.close()


class AiokafkaInspector:
    """The port's `Inspector`: the program's side, which calls the other one for each request."""

    def __init__(self, home: Home, options: Mapping[str, Any]) -> None:
        self._home = home
        self._links = _Links(options)

    async def ask(self, address: Address, request: Request, timeout_s: float) -> bytes:
        return await self._home.call(partial(self._links.ask, address, request, timeout_s))

    async def close(self) -> None:
        """Close every connection."""
        await self._home.call(self._links.close)


class _Links:
    """The connections, on the asyncio side."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._protocol: str = options.get("security_protocol", "PLAINTEXT")
        if self._protocol.startswith("SASL"):
            self._options.setdefault("sasl_mechanism", "PLAIN")
        self._open: dict[Address, Any] = {}

    async def ask(self, address: Address, request: Request, timeout_s: float) -> bytes:
        connection: Any = self._open.pop(address, None)
        try:
            async with asyncio.timeout(timeout_s):
                if connection is None or not connection.connected():
                    limit_ms = int(timeout_s * 1000)
                    connection = _BoundedConnection(
                        *address, request_timeout_ms=limit_ms, **self._options
                    )
                    await connection.connect()
                answer: bytes = await connection.send(_RawRequest(request))
        except BaseException as error:
            if connection is not None:
                connection.close()  # an answer that comes late would be taken for the next one
            if isinstance(error, Exception):
                raise self._explained(error, connection) from error
            raise
        if address in self._open:
            connection.close()  # that address was asked twice at once, and one is enough
        else:
            self._open[address] = connection
        return answer

    def _explained(self, error: Exception, connection: Any) -> Exception:
        if (refused := refused_credentials(error)) is not None:
            return refused
        has_connected = getattr(connection, "_protocol", None) is not None
        if isinstance(error, TimeoutError | asyncio.TimeoutError) and has_connected:
            return BrokerUnreachable("it takes connections, and does not answer")
        return BrokerUnreachable(reason_of(error, self._protocol))

    async def close(self) -> None:
        closing = [each.close() for each in self._open.values()]
        self._open.clear()
        if closing := [each for each in closing if each is not None]:
            await asyncio.wait(closing)


class _BoundedConnection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka is not typed
    """A connection that breaks off where an answer is announced that no broker gives.

    aiokafka would take in up to 2 GB of whatever else answers there, as fast as it comes.
    """

    def _create_reader_task(self) -> Any:
        reader: Any = self._reader
        reader.readexactly = partial(_read_bounded, reader.readexactly)
        return super()._create_reader_task()


async def _read_bounded(read: Callable[[int], Awaitable[bytes]], count: int) -> bytes:
    if count > MAX_ANSWER_BYTES:
        raise asyncio.IncompleteReadError(b"", count)
    return await read(count)


class _RawRequest:
    """A request in aiokafka's terms, whose answer is left as it is."""

    def __init__(self, request: Request) -> None:
        self.API_KEY = request.api_key
        self.API_VERSION = request.version
        self.RESPONSE_TYPE = _RawAnswer
        self._body = request.body

    def prepare(self, versions: Any) -> Any:
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> Encoded:
        begin = request_header(self.API_KEY, self.API_VERSION, correlation_id, client_id)
        return Encoded(begin.data + NO_TAGS)

    def encode(self) -> bytes:
        return self._body

    def parse_response_header(self, frame: BytesIO) -> ResponseHeader:
        return response_header(frame)


class _RawAnswer:
    @staticmethod
    def decode(frame: BytesIO) -> bytes:
        return frame.read()
