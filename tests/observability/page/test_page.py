"""The live page in a real browser, served by the event loop that a listener is on."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from anyio.lowlevel import current_token
from playwright.sync_api import Page

from sdml_kafka import ConsumerFailed, Delivery, KafkaListener
from sdml_kafka.observability import app
from tests.support.browser import Driven, open_browser
from tests.support.listener_on_twin import Gate, broker_with, listener_on, loops
from tests.support.processing_on_twin import processing, processing_on
from tests.support.server_by_hand import callers, client_on, hand, new_broker
from tests.support.waiting import until
from tests.support.web_server import web_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120), pytest.mark.xdist_group("browser")]

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 1}
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Driven]:
    yield from open_browser()


def shown(page: Page, address: str) -> str:
    """Open the page, and return its text once the first status has come."""
    page.goto(address)
    page.wait_for_selector("section")
    return page.inner_text("body")


async def test_it_shows_what_is_stuck_and_why(browser: Driven) -> None:
    async with (
        listener_on(broker_with("a", "b")) as listener,
        loops(await listener.subscribe(str), work=Gate()) as (loop,),
        web_server(app(listener, stuck_after_s=0.1)) as address,
    ):
        await loop.has_seen(1)
        await anyio.sleep(0.2)

        def look(page: Page) -> tuple[str, str, int]:
            text = shown(page, address)
            return text, page.title(), page.locator("tr.trouble").count()

        text, title, rows = await browser.look(look)
    assert "⚠ NOT ready" in text
    assert "topic 0: record 0 has been in hand" in text
    assert "⚠ stuck" in text
    assert (title, rows) == ("⚠ sdml-kafka", 1)


async def test_it_goes_on_by_itself(browser: Driven) -> None:
    """Records, processors and lag are those of the moment, without a reload."""
    broker = broker_with("a")

    async def handle(value: str, delivery: Delivery[str]) -> None:
        """Do nothing."""

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, name="charge"),
        web_server(app(listener)) as address,
    ):
        await until(lambda: listener.status().counters.finished == 1)
        token = current_token()

        def look(page: Page) -> tuple[str, str]:
            shown(page, address)
            anyio.from_thread.run_sync(produce_more, token=token)
            page.get_by_text("3,001").first.wait_for()
            page.locator(".line", has_text="0 to ").first.wait_for()
            return page.inner_text("body"), page.locator(".line small").first.inner_text()

        def produce_more() -> None:
            for _ in range(3000):
                broker.produce("topic", b"more")

        text, scale = await browser.look(look, timezone_id="Asia/Kathmandu")
    assert "charge" in text
    assert "live, ready" in text
    assert re.fullmatch(r"0 to [\d,]+, [\d.]+ m?s", scale)
    assert re.search(r"process \d+, \d\d:\d\d:\d\d GMT\+5:45$", text, re.MULTILINE)


async def test_calls_that_wait_are_shown_with_their_age(browser: Driven) -> None:
    broker = new_broker()
    async with (
        client_on(broker) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
        web_server(app(rpc)) as address,
    ):
        tasks.call(correlation_id=HOSTILE)
        await server.request()

        def look(page: Page) -> tuple[str, int]:
            page.goto(address)
            page.get_by_role("heading", name="Oldest calls").wait_for()
            return page.inner_text("main"), page.locator("main img, main script").count()

        text, elements = await browser.look(look)
    assert "waits for a reply" in text
    assert (HOSTILE in text, elements) == (True, 0)


async def test_what_comes_from_elsewhere_is_text(browser: Driven) -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener, web_server(app(listener)) as address:
        broker.fail_next_poll(ConsumerFailed(HOSTILE))
        await until(lambda: listener.status().counters.restarts > 0)

        def look(page: Page) -> tuple[str, str, int]:
            text = shown(page, address)
            return text, page.title(), page.locator("main img, main script").count()

        text, title, elements = await browser.look(look)
    assert HOSTILE in text
    assert (title.removeprefix("⚠ "), elements) == ("sdml-kafka", 0)


async def test_it_asks_nobody_but_its_own_server(browser: Driven) -> None:
    async with listener_on(broker_with()) as listener, web_server(app(listener)) as address:

        def look(page: Page) -> tuple[set[str], list[str]]:
            hosts, problems = set[str](), list[str]()
            page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
            page.on("console", lambda message: problems.append(message.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            shown(page, address)
            return hosts - {""}, problems

        hosts, problems = await browser.look(look)
        async with httpx.AsyncClient(base_url=address) as client:
            page = await client.get("/")
            posted = await client.post("/")
            other = await client.get("/files.py")
    assert (hosts, problems) == ({urlsplit(address).netloc}, [])
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (posted.status_code, other.status_code) == (405, 404)


async def test_it_can_be_read_on_a_phone_and_without_colours(browser: Driven) -> None:
    async with listener_on(broker_with("a")) as listener, web_server(app(listener)) as address:

        def look(page: Page) -> tuple[int, str]:
            page.emulate_media(forced_colors="active")
            text = shown(page, address)
            page.wait_for_selector(".line small")
            width: int = page.evaluate("document.documentElement.scrollWidth")
            return width, text

        width, text = await browser.look(look, **PHONE)
    assert width <= PHONE["viewport"]["width"]
    assert "topic 0" in text


async def test_a_program_that_is_gone_is_said_to_be(browser: Driven) -> None:
    listener: KafkaListener
    async with listener_on(broker_with()) as listener, anyio.create_task_group() as tasks:
        leaving = anyio.Event()

        async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
            async with web_server(app(listener)) as address:
                task_status.started(address)
                await leaving.wait()

        address = await tasks.start(serve)
        token = current_token()

        def look(page: Page) -> str:
            shown(page, address)
            anyio.from_thread.run_sync(leaving.set, token=token)
            page.wait_for_selector("body.stale")
            return page.inner_text("#summary")

        text = await browser.look(look)
    assert "has not answered" in text
