"""A small HTTP registry of the tests, which can be slow, away, broken or hostile."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import sleep
from typing import Any


class RegistryServer:
    """Answers requests for schemas, each as `answer` says."""

    def __init__(self) -> None:
        self.schemas: dict[str, dict[str, Any]] = {}
        """The answer to each path."""
        self.status = 200
        self.body: bytes | None = None
        """The answer to everything, if not None."""
        self.headers: dict[str, str] = {}
        self.pause_s = 0.0
        """Seconds between two bytes of an answer."""
        self.hung_up = 0
        """How often a client did not wait for the end of an answer."""
        self.requests: list[str] = []
        self.ports = set[int]()
        """The clients' ports, one a connection."""
        self.authorization: str | None = None
        self.go_on = Event()
        self.go_on.set()
        self.url = ""

    def add(self, number: int, schema: str, kind: str = "JSON") -> None:
        """Have a schema under this number."""
        self.schemas[f"/schemas/ids/{number}"] = {"schema": schema, "schemaType": kind}

    def answer(self, path: str) -> tuple[int, bytes]:
        self.go_on.wait(20)
        if self.body is not None or self.status != 200:
            return self.status, self.body or b""
        found = self.schemas.get(path.partition("?")[0])
        if found is None:
            return 404, b'{"error_code": 40403, "message": "Schema not found"}'
        return 200, json.dumps(found).encode()


@contextmanager
def registry_server(port: int = 0) -> Iterator[RegistryServer]:
    """Run a registry while the body runs."""
    registry = RegistryServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            registry.requests.append(self.path)
            registry.ports.add(self.client_address[1])
            registry.authorization = self.headers.get("authorization")
            status, body = registry.answer(self.path)
            try:
                self.send_response(status)
                for name, value in registry.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if registry.pause_s:
                    for number in body:
                        self.wfile.write(bytes([number]))
                        sleep(registry.pause_s)
                else:
                    self.wfile.write(body)
            except OSError:
                registry.hung_up += 1  # the client does not wait any more

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", port), Handler) as server:
        registry.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield registry
        finally:
            registry.go_on.set()
            server.shutdown()
            thread.join()
