"""Streams that nobody reads any more: their cancel records go past the requests that wait."""

from collections.abc import Sequence

from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.rpc.server.call import Call
from sdml_kafka.rpc.server.request_queue import Lane
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.transport.interfaces import Record


class Cancels:
    def __init__(self, wire: Wire, counts: Counts) -> None:
        self._wire = wire
        self._counts = counts
        self._running: dict[tuple[str, bytes], Call] = {}

    def look_ahead(self, lane: Lane, records: Sequence[Record]) -> None:
        """A cancel record may have to wait for a worker that only it would set free."""
        for record in records:
            request = self._wire.read_request(record.headers, record.key)
            if request.is_cancel and request.id is not None:
                call = self._running.get((record.topic, request.id))
                if call is None:
                    lane.cancelled.add(request.id)
                else:
                    self._cancel(call)

    def _cancel(self, call: Call) -> None:
        if call.running_scope is not None and not call.is_cancelled:
            call.is_cancelled = True
            call.running_scope.cancel()

    def read(self, lane: Lane, id_: bytes | None) -> None:
        """It is the turn of a cancel record: what it asked for is past, or never was."""
        if lane.handler.kind != "stream" or id_ is None or id_ in lane.cancelled:
            self._counts.unknown_cancels += 1
            if id_ is not None:
                lane.cancelled.discard(id_)

    def begin(self, lane: Lane, call: Call) -> bool:
        """False: it was cancelled before it began."""
        id_ = call.request.id
        if id_ is None:
            return True
        if id_ in lane.cancelled:
            lane.cancelled.discard(id_)
            call.is_cancelled = True
            return False
        self._running[call.record.topic, id_] = call
        return True

    def end(self, call: Call) -> None:
        id_ = call.request.id
        if id_ is not None and self._running.get((call.record.topic, id_)) is call:
            del self._running[call.record.topic, id_]
