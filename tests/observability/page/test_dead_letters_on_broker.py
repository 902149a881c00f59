"""Dead letters on the live page, in a real browser, on a real Kafka."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page

from sdml_kafka.observability import app
from sdml_kafka.testing import EmbeddedKafka
from tests.support.browser import Driven, open_browser
from tests.support.dead_letter_topics import DeadTopic
from tests.support.processing_on_broker import records_of
from tests.support.web_server import web_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("browser"),
]

TOKEN = "a-token-of-16-characters"
CLIENTS = ["aiokafka", pytest.param("librdkafka", marks=pytest.mark.one_loop)]
PHONE = {"width": 360, "height": 740}
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Driven]:
    yield from open_browser()


def ask(page: Page, token: str) -> None:
    page.fill("#letters-token", token)
    page.click("#letters-list")


@pytest.mark.parametrize("kafka_client", CLIENTS)
async def test_dead_letters_are_shown_and_sent_anew(
    kafka_client: str, browser: Driven, embedded_kafka: EmbeddedKafka
) -> None:
    """One by itself, then all; whatever they hold is text, and the token is in no address."""
    topic = await DeadTopic.create(embedded_kafka)
    await topic.fill([HOSTILE.encode(), b"b", b"c"], error=HOSTILE)
    listener = topic.listener(client=kafka_client)  # it is not entered
    application = app(listener, dead_letter_token=TOKEN)

    async with web_server(application) as address:

        def look(page: Page) -> tuple[str, str, str, list[str]]:
            asked, problems = list[str](), list[str]()
            page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.emulate_media(forced_colors="active")
            page.goto(address)
            ask(page, "wrong")
            page.get_by_text("the token is wrong or missing").wait_for()
            ask(page, TOKEN)
            rows = page.locator("#letters tbody tr")
            rows.nth(2).wait_for()
            listed = page.inner_text("#letters")
            first = rows.filter(has_text="0 offset 0")
            first.get_by_role("button", name="Show").click()
            page.get_by_text("stack trace:").wait_for()
            shown = page.inner_text("#letters-text")
            first.get_by_role("button", name="Replay").click()
            page.get_by_text(f"sent 1 to {topic.first}").wait_for()
            page.get_by_role("button", name="Replay all").click()
            page.get_by_text(f"sent 2 to {topic.first}").wait_for()
            rows.filter(has_text="yes").nth(2).wait_for()
            again = page.inner_text("#letters")
            assert page.title().removeprefix("⚠ ") == "sdml-kafka"
            assert page.locator("main img, #dead-letters img, #dead-letters script").count() == 0
            assert not any(TOKEN in each for each in asked)
            return listed, shown, again, problems

        listed, shown, again, problems = await browser.look(look, viewport=PHONE)
        async with httpx.AsyncClient(base_url=address) as client:
            page, got = await client.get("/"), await client.get("/dead-letters")
    assert HOSTILE in listed
    assert shown.endswith(f"value:\n  {HOSTILE}\n")
    assert (listed.count("Replay\n"), again.count("Replay\n"), problems) == (3, 0, [])
    assert (TOKEN in page.text, got.status_code) == (False, 405)
    values = {each.value for each in await records_of(topic.servers, topic.first)}
    assert values == {HOSTILE.encode(), b"b", b"c"}
