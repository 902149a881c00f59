"""A status document over HTTP, with no program behind it."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from sdml_kafka.observability.document_shape import (
    ObjectDocument,
    PartitionDocument,
    ProcessorDocument,
    StatusDocument,
)


@contextmanager
def answering(body: bytes, status: int = 200, port: int = 0) -> Generator[str]:
    """Answer every request with this, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ops/status.json" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/ops"
        finally:
            server.shutdown()
            thread.join()


def status_of(*objects: ObjectDocument) -> StatusDocument:
    return {
        "version": 1,
        "at": 1764444444.1,
        "pid": 4711,
        "live": True,
        "ready": all(each["health"]["ready"] for each in objects),
        "objects": list(objects),
    }


def busy_listener(name: str = "listener", state: str = "idle", rows: int = 12) -> ObjectDocument:
    """Return a listener with large figures, which is ready if its state is "idle"."""
    return {
        "name": name,
        "kind": "listener",
        "client": "aiokafka",
        "group_id": "billing",
        "group_protocol": "classic",
        "connected": True,
        "health": {
            "live": True,
            "ready": state == "idle",
            "state": state,
            "reason": "as it is",
            "since_s": 75.2,
            "parts": [],
        },
        "tree": {
            "name": name,
            "state": "running",
            "restarts": 0,
            "last_error": None,
            "inbox_depth": 0,
            "inbox_capacity": 0,
            "age_s": 90.5,
            "children": [],
        },
        "partitions": [_partition(number) for number in range(rows)],
        "missing_topics": [],
        "processors": [_processor("charge-customers-for-orders")],
        "not_taken": [],
        "calls": None,
        "sends": {"waiting": 0},
        "counters": {"delivered": 20},
        "recent": [],
        "left_out": {},
    }


def _partition(number: int) -> PartitionDocument:
    return {
        "topic": "orders-of-all-customers",
        "partition": number,
        "state": "moving",
        "reason": "",
        "position": 20,
        "frontier": 17,
        "committed": 76_543_210,
        "end": 77_777_777,
        "lag": 1_234_567,
        "lag_age_s": 0.2,
        "in_flight": 1_024,
        "in_hand": 1,
        "oldest_s": 3_601.7,
        "bytes_in_flight": 312,
        "parsing": 0,
        "paused": False,
        "held": None,
    }


def _processor(name: str) -> ProcessorDocument:
    return {
        "name": name,
        "running": 128,
        "queued": 1_024,
        "keys": 1,
        "oldest_s": 51.43,
        "handler_p50_s": 0.0104,
        "handler_p99_s": 12.345,
        "finished": 7_654_321,
        "retries": 4_321,
        "failures": 321,
        "dead_letters": 4_300,
        "transactions": 0,
        "aborted": 0,
    }
