"""What is answered without a broker: off by default, POST alone, topics of options alone."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from sdml_kafka import ConfigurationError, DeadLetter, KafkaListener
from sdml_kafka.observability import app
from tests.support.asgi import Server
from tests.support.listener_on_twin import broker_with, listener_on
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]

TOKEN = "a-token-of-16-characters"
PATHS = ("/dead-letters", "/dead-letters/show", "/dead-letters/replay")


def asking(application: Starlette, token: str | None = TOKEN) -> httpx.AsyncClient:
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    transport = httpx.ASGITransport(application)
    return httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers)


def unreachable(**options: Any) -> KafkaListener:
    """Return a listener at whose address nobody listens; it is not entered."""
    parser: Any = {"topics": ["orders"], "type": str, "parser": lambda record: "x"}
    where: dict[str, Any] = {"bootstrap_servers": "127.0.0.1:1", "group_id": "billing"}
    return KafkaListener([parser], **where, **options)


async def test_without_a_token_there_is_nothing() -> None:
    async with asking(app(listener_on(broker_with()))) as client:
        answers = [(await client.post(path, json={})).status_code for path in PATHS]
        script = await client.get("/dead-letters.js")
        page = await client.get("/")
    assert answers == [404] * 3
    assert script.status_code == 404
    assert "dead-letters" not in page.text


async def test_a_token_that_is_too_short_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="dead_letter_token"):
        app(listener_on(broker_with()), dead_letter_token="secret")


async def test_no_other_method_and_no_other_token() -> None:
    application = app(unreachable(), dead_letter_token=TOKEN)
    async with asking(application) as client, asking(application, "wrong" * 5) as other:
        for path in PATHS:
            for method in ("GET", "HEAD", "PUT", "DELETE"):
                assert (await client.request(method, path)).status_code == 405
            refused = await other.post(path, json={})
            assert (refused.status_code, TOKEN in refused.text) == (403, False)
            in_url = await other.post(f"{path}?token={TOKEN}", json={"token": TOKEN})
            assert in_url.status_code == 403
        page = await other.get("/")
    assert TOKEN not in page.text
    assert "dead-letters.js" in page.text


async def test_another_site_cannot_ask() -> None:
    async with asking(app(unreachable(), dead_letter_token=TOKEN)) as client:
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
            for path in PATHS:
                assert (await client.post(path, json={}, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b"[]", 400),
        (b"{" + b" " * 5000 + b"}", 413),
        (b"[" * 4000, 400),
        (b'{"topic": 7}', 400),
        (b'{"topic": "orders"}', 404),
        (b'{"topic": "orders", "partition": -1, "offset": 0}', 400),
        (b'{"topic": "orders", "partition": true, "offset": 0}', 400),
        (b'{"topic": "orders", "partition": 2147483648, "offset": 0}', 400),
        (b'{"topic": "orders", "partition": 0, "offset": 9223372036854775808}', 400),
        (b'{"topic": "orders", "partition": 0, "offset": 0}', 404),
        (b'{"topic": "__consumer_offsets", "partition": 0, "offset": 0}', 404),
    ],
)
async def test_what_is_asked_has_to_make_sense(body: bytes, status: int) -> None:
    async with asking(app(unreachable(), dead_letter_token=TOKEN)) as client:
        assert (await client.post("/dead-letters/replay", content=body)).status_code == status


async def test_a_client_that_leaves_within_its_request_is_no_failure_of_the_server() -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/dead-letters/replay",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    with Server() as server:
        await server.send_to_app({"type": "http.request", "body": b"{", "more_body": True})
        await server.send_to_app({"type": "http.disconnect"})
        application: Any = app(unreachable(), dead_letter_token=TOKEN)
        await application(scope, server.receive.receive, server.send.send)
        assert (await server.answer())["status"] == 400


async def test_a_length_of_thousands_of_digits_is_refused() -> None:
    headers = {"content-length": "9" * 5000}
    async with asking(app(unreachable(), dead_letter_token=TOKEN)) as client:
        refused = await client.post("/dead-letters/replay", content=b"{}", headers=headers)
    assert refused.status_code == 413


async def test_a_listener_over_a_transport_says_why_it_cannot_be_read() -> None:
    listener = listener_on(broker_with(), on_parse_error="skip")
    failing = unreachable(on_parse_error=DeadLetter("dead-{topic}"))
    async with asking(app(listener, failing, dead_letter_token=TOKEN)) as client:
        refused = await client.post("/dead-letters/replay", json={"topic": "topic-dlt"})
    assert refused.status_code == 404
