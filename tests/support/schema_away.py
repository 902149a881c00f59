"""A schema that is away at first, as parsers and serializers of a registry meet it."""

import anyio

from sdml_kafka import NotYet
from sdml_kafka.transport.interfaces.records import Record

AWAY = "the schema is away"


class Schema:
    """A schema that a parser and a serializer need, which is away until `come` is set."""

    def __init__(self) -> None:
        self.come = anyio.Event()
        self.waiting = 0
        self.most = 0
        """The most that have waited at once."""

    async def prepare(self) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.come.wait()
        finally:
            self.waiting -= 1

    def parse(self, record: Record) -> bytes:
        self._check()
        return record.value or b""

    async def parse_later(self, record: Record) -> bytes:
        await self.prepare()
        return record.value or b""

    def write(self, value: str) -> bytes:
        self._check()
        return value.encode()

    def _check(self) -> None:
        if not self.come.is_set():
            raise NotYet(AWAY, self.prepare)
