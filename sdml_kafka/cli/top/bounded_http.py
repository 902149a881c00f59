"""A GET that ends, whatever the server sends: all that is read counts, from the first line on.

The library bounds single waits and single lines. Without more than that a server could go on for
ever: with lines of a header by drops, with interim answers, with a body in chunks and what follows.
"""

import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from typing import Any
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

TIMEOUT_S = 5.0
"""Seconds that the server may be silent."""
MAX_FETCH_S = 30.0
"""Seconds that all answers may take together, those included that lead elsewhere."""
MAX_BYTES = 32 << 20
"""Bytes that all answers may have together."""
MAX_PART = 1 << 16


class OutOfBounds(Exception):
    """An answer is too long, or takes too long."""


def get(url: str) -> bytes:
    """Return the body of the answer at an address of HTTP or HTTPS, redirects followed.

    Raises:
        OutOfBounds: The answers are too long, or take too long.
        OSError: There is no connection, or no answer; an HTTPError is an answer other than 2xx.
        HTTPException: The answer is not HTTP.
    """
    bounds, opener = _Bounds(), OpenerDirector()
    for handler in (
        ProxyHandler(),
        _Http(bounds),
        _Https(bounds),
        HTTPRedirectHandler(),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
        UnknownHandler(),  # of FTP and files, to which a redirect may lead
    ):
        opener.add_handler(handler)
    with opener.open(url, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read()
    return body


class _Bounds:
    """Time and bytes that are left for the answers."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + MAX_FETCH_S
        self._left = MAX_BYTES

    def note(self, count: int) -> None:
        """Count bytes that have come."""
        self._left -= count
        if self._left < 0:
            raise OutOfBounds(f"its answer has more than {MAX_BYTES >> 20} MiB")
        if time.monotonic() > self._deadline:
            raise OutOfBounds(f"its answer takes more than {MAX_FETCH_S:g} s")

    def on(self, kind: type[HTTPConnection]) -> Callable[..., HTTPConnection]:
        """Return what makes connections of a kind whose answers are within the bounds."""

        def connection(host: str, **options: Any) -> HTTPConnection:
            made = kind(host, **options)
            made.response_class = self._response  # type: ignore[assignment]  # it calls that
            return made

        return connection

    def _response(self, sock: socket, *args: Any, **options: Any) -> HTTPResponse:
        return _Response(self, sock, *args, **options)


class _Http(HTTPHandler):
    def __init__(self, bounds: _Bounds) -> None:
        super().__init__()
        self._connection = bounds.on(HTTPConnection)

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)


class _Https(HTTPSHandler):
    def __init__(self, bounds: _Bounds) -> None:
        super().__init__()
        self._connection = bounds.on(HTTPSConnection)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._connection, req)


class _Response(HTTPResponse):
    def __init__(self, bounds: _Bounds, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = BufferedReader(_BoundedReader(bounds, self.fp.detach()))

    def read(self, amt: int | None = None) -> bytes:
        """Read by parts: memory for all that is announced would be taken at once."""
        if amt is not None:
            return super().read(amt)
        return b"".join(iter(lambda: self.read1(MAX_PART), b""))


class _BoundedReader(RawIOBase):
    def __init__(self, bounds: _Bounds, raw: RawIOBase) -> None:
        super().__init__()
        self._bounds, self._raw = bounds, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        count = self._raw.readinto(buffer)
        self._bounds.note(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
