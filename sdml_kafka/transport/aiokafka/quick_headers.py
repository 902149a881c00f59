# pyright: basic
# aiokafka is not typed.
"""The headers of requests that encode themselves, and of their answers, in aiokafka's terms."""

from io import BytesIO
from struct import Struct
from typing import NamedTuple

_HEADER = Struct(">hhih")
"""The API's key and its version, the number of the request, the length of the client's name."""


class Encoded(NamedTuple):
    data: bytes

    def encode(self) -> bytes:
        return self.data


class ResponseHeader(NamedTuple):
    correlation_id: int


def request_header(api_key: int, version: int, correlation_id: int, client_id: str) -> Encoded:
    name = client_id.encode()
    return Encoded(_HEADER.pack(api_key, version, correlation_id, len(name)) + name)


def response_header(frame: BytesIO) -> ResponseHeader:
    return ResponseHeader(int.from_bytes(frame.read(4), signed=True))
