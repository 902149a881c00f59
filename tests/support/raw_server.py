"""A server that sends the bytes that it is given, whatever it is asked, to whoever connects."""

import socket
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress

ANSWER = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def sending(parts: Callable[[], Iterable[bytes]]) -> Generator[str]:
    """Send these to each client until it leaves or there are no more, and yield the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while True:
            client, _ = listening.accept()
            with client, suppress(OSError):
                client.settimeout(10)
                if ended.is_set():
                    return
                client.recv(1 << 16)
                for part in parts():
                    client.sendall(part)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/status.json"
    finally:
        ended.set()
        with socket.create_connection(listening.getsockname()):
            thread.join()
        listening.close()
