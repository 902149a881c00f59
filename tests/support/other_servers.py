"""Servers that are no Kafka, or none that a client may trust."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

KEY_AND_CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTwiXefT8XwHSWuPb
LdsC++keIsdrcpbVRhr07Ljzts2hRANCAAQSwsU0SA7TDeqeai9947HPon/VpWzL
whxl09BAITiA8plqgp89+slfu0DGQNwelGSIbk+QqUKYJinoFIaShcF5
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUB6oqJV0isagdHwiPNHkEmSJjykwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTEzMTQ0M1oYDzIxMjYxMTA1
MTMxNDQzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQSwsU0SA7TDeqeai9947HPon/VpWzLwhxl09BAITiA8plqgp89+slf
u0DGQNwelGSIbk+QqUKYJinoFIaShcF5o28wbTAdBgNVHQ4EFgQUrXA8E8bbFfzk
6re5CxDwBa7j6zMwHwYDVR0jBBgwFoAUrXA8E8bbFfzk6re5CxDwBa7j6zMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAMd52yfeK060QjmIGlXaZGDVj9NrnEKM3chMkpV1c2oPAiEA
puNAH8ZWypAmMT+4lyMbmV2EQTxzGYFkN/ZDdF+apJo=
-----END CERTIFICATE-----
"""
"""A key for this one purpose, with a certificate of its own for `localhost`."""

METADATA, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 3, 17, 18, 36
UNSUPPORTED_VERSION = 35


@contextmanager
def answering(answer: bytes | None) -> Generator[str]:
    """Run something that answers whoever connects with this, or never; yield its address."""

    def handle(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer or b"")

    with _listening(None if answer is None else handle) as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def pouring(head: bytes) -> Generator[str]:
    """Run something that sends this and then zeros without an end; yield its address."""

    def handle(connection: socket.socket) -> None:
        with suppress(OSError):  # the client has closed the connection
            connection.sendall(head)
            while True:
                connection.sendall(bytes(1 << 16))

    with _listening(handle) as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def ending_at_login() -> Generator[str]:
    """Run a broker that ends each connection once it is asked for a login; yield its address."""
    keys = ((API_VERSIONS, 0), (METADATA, 9), (SASL_HANDSHAKE, 1), (SASL_AUTHENTICATE, 0))
    known = struct.pack("!hi", 0, len(keys)) + b"".join(
        struct.pack("!hhh", key, 0, newest) for key, newest in keys
    )
    too_new = struct.pack("!hihhh", UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, 0)

    def handle(connection: socket.socket) -> None:
        while len(request := connection.recv(1000)) >= 12:
            key, version, number = struct.unpack_from("!hhi", request, 4)
            if key != API_VERSIONS:
                return
            answer = struct.pack("!i", number) + (too_new if version else known)
            connection.sendall(struct.pack("!i", len(answer)) + answer)

    with _listening(handle) as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def untrusted_server(folder: Path, *, wants_certificate: bool = False) -> Generator[str]:
    """Run a server whose certificate is signed by itself; yield its address.

    Args:
        folder: Where to write that, with its key, as `untrusted.pem`.
        wants_certificate: Whether it wants one of its clients as well.
    """
    file = folder / "untrusted.pem"
    file.write_text(KEY_AND_CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1000)

    with _listening(handle) as port:
        yield f"localhost:{port}"


@contextmanager
def _listening(handle: Callable[[socket.socket], None] | None) -> Generator[int]:
    """Listen, and handle one connection after another; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(handle: Callable[[socket.socket], None]) -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):  # the client has left
                    handle(connection)

        if handle is not None:
            threading.Thread(target=serve, args=(handle,), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
