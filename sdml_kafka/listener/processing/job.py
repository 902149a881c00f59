"""One record on its way through a handler."""

from collections import deque
from math import inf

import anyio

from sdml_kafka.consuming.ledger import Chunk
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.transport.interfaces import Record


class Job:
    """A record that is to be processed, from the moment when it may begin until it has left.

    Of its parcel it keeps what belongs to this record alone: the rest may be large, and finish
    earlier.
    """

    __slots__ = (
        "attempt",
        "chunk",
        "due",
        "home",
        "index",
        "key",
        "record",
        "running_scope",
        "spec",
        "value",
    )

    def __init__(self, parcel: Parcel, at: int, home: "dict[object, deque[Job] | None] | None"):
        self.chunk: Chunk = parcel.chunk
        self.index: int = parcel.indices[at]
        self.record: Record = parcel.records[at]
        self.value: object = parcel.values[at]
        self.spec: CompiledSpec | None = parcel.spec
        self.home = home
        self.key: object = None
        self.attempt: int = 1
        self.due: float = inf
        self.running_scope: anyio.CancelScope | None = None
