"""The application answers at any path, whichever framework has mounted it."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from sdml_kafka.observability import app
from tests.support.listener_on_twin import broker_with, listener_on
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

PATHS = ("/live", "/ready", "/status.json", "/metrics", "/page.css", "/page.js")


def starlette(inner: ASGIApp) -> ASGIApp:
    return Starlette(routes=[Mount("/ops", inner)])


def fastapi(inner: ASGIApp) -> ASGIApp:
    outer = FastAPI()
    outer.mount("/ops", inner)
    return outer


def nested(inner: ASGIApp) -> ASGIApp:
    return Starlette(routes=[Mount("/team", starlette(inner))])


def litestar(inner: ASGIApp, mount: str = "/ops") -> ASGIApp:
    """Hand on what Litestar 2.25 does with `asgi(mount, is_mount=True)`: see the paths it makes."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(mount).strip("/")
        await inner({**scope, "path": f"/{path}/" if path else "/"}, receive, send)

    return outer


def litestar_at_the_root(inner: ASGIApp) -> ASGIApp:
    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].strip("/")
        await inner({**scope, "path": f"{path}/" if path else "/"}, receive, send)

    return outer


def bare(inner: ASGIApp) -> ASGIApp:
    return inner


@pytest.mark.parametrize(
    ("mounted", "at"),
    [
        (bare, ""),
        (starlette, "/ops"),
        (fastapi, "/ops"),
        (nested, "/team/ops"),
        (litestar, "/ops"),
        (litestar_at_the_root, ""),
    ],
)
async def test_it_answers_wherever_it_is_mounted(
    mounted: Callable[[ASGIApp], ASGIApp], at: str
) -> None:
    listener = listener_on(broker_with())
    transport = httpx.ASGITransport(mounted(app(listener)))
    client = httpx.AsyncClient(transport=transport, base_url="http://service")
    async with listener, client:
        for path in PATHS:
            for spelling in (path, f"{path}/"):
                assert (await client.get(f"{at}{spelling}")).status_code == 200, spelling
        assert (await client.get(f"{at}/nothing")).status_code == 404
        assert (await client.get(f"{at}/live/nothing")).status_code == 404
        assert (await client.post(f"{at}/ready")).status_code == 405
        page = await client.get(at, follow_redirects=True)
        assert (page.status_code, page.url.path) == (200, f"{at}/")
        assert "page.css" in page.text
        assert (await client.get(page.url.join("page.css"))).status_code == 200


@pytest.mark.parametrize(
    ("path", "location"), [("/a%20b", "./a%20b/"), ("/a:b", "./a:b/"), ("/x/ops", "./ops/")]
)
async def test_the_way_to_the_page_stays_below_its_mount(path: str, location: str) -> None:
    """A proxy may have taken away the path's beginning, which only a relative address keeps."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "path": "/"}, receive, send)

    inner = app(listener_on(broker_with()))
    transport = httpx.ASGITransport(outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (307, location)
    assert answer.next_request is not None
    assert answer.next_request.url.raw_path.decode() == f"{path}/"
