"""A server of TLS with a certificate that nobody trusts, for clients that must not either."""

import socket
import ssl
import threading
from collections.abc import Generator
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


@contextmanager
def untrusted_server(folder: Path) -> Generator[str]:
    """Run a server whose certificate is signed by itself; yield its address."""
    file = folder / "untrusted.pem"
    file.write_text(KEY_AND_CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1000)

        threading.Thread(target=serve, daemon=True).start()
        yield f"localhost:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
