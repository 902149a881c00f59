"""Cancel records: they say that nobody reads a stream any more, and overtake waiting requests."""

from collections.abc import Sequence

from sdml_kafka.rpc.dialects.native import NATIVE_REPLIES, Wire
from sdml_kafka.rpc.server.call import ServerCall
from sdml_kafka.rpc.server.own_ids import OwnIds
from sdml_kafka.rpc.server.request_queue import Lane
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.transport.interfaces.records import Record


class Cancellations:
    """Knows the streams that run, and ends the streams that their clients have broken off."""

    def __init__(self, wire: Wire, own_ids: OwnIds | None, counts: Counts) -> None:
        self._wire = wire
        self._own_ids = own_ids
        self._counts = counts
        self._running: dict[tuple[str, bytes], ServerCall] = {}

    def look_ahead(self, lane: Lane, records: Sequence[Record]) -> None:
        """Obey the cancel records among the records that have just come.

        In its turn a cancel record might wait for a worker that only this record sets free.
        """
        for record in records:
            request = self._wire.read_request(record.headers, record.key)
            if request.is_cancel and self._own_ids is not None:
                request = self._own_ids.put_into(request, record)
            if request.is_cancel and request.id is not None:
                call = self._running.get((record.topic, request.id))
                if call is None:
                    lane.cancelled.add(request.id)
                else:
                    self._cancel(call)

    def _cancel(self, call: ServerCall) -> None:
        if call.running_scope is not None and not call.is_cancelled:
            call.is_cancelled = True
            call.running_scope.cancel()

    def pass_over(self, lane: Lane, id_: bytes | None) -> None:
        """Count a cancel record whose turn has come, if the stream had ended or never was."""
        if lane.handler.kind != "stream" or id_ is None or id_ in lane.cancelled:
            self._counts.unknown_cancels += 1
            if id_ is not None:
                lane.cancelled.discard(id_)

    def begin(self, lane: Lane, call: ServerCall) -> bool:
        """Enter a stream that is about to run; return False if it was cancelled already.

        Streams of other dialects are never cancelled: theirs may have the same ids, and a caller
        without time-outs would wait for ever.
        """
        id_ = call.id
        if id_ is None or call.writer is not NATIVE_REPLIES:
            return True
        if id_ in lane.cancelled:
            lane.cancelled.discard(id_)
            call.is_cancelled = True
            return False
        self._running[call.topic, id_] = call
        return True

    def end(self, call: ServerCall) -> None:
        """Forget a stream that has ended."""
        id_ = call.id
        if id_ is not None and self._running.get((call.topic, id_)) is call:
            del self._running[call.topic, id_]
