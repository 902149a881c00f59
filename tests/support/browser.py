"""A headless Chromium in a thread of its own, which tests on any event loop look at pages with."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Driven:
    """A browser. Its driver blocks, and wants each call in the thread that has started it."""

    def __init__(self, path: str) -> None:
        self._thread = ThreadPoolExecutor(1, "browser")
        self._browser: Browser = self._thread.submit(self._start, path).result()

    def _start(self, path: str) -> Browser:
        self._playwright = sync_playwright().start()
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]  # for containers
        return self._playwright.chromium.launch(executable_path=path, args=options)

    async def look[T](self, look: Callable[[Page], T], **options: Any) -> T:
        """Return what a function returns that is called with a new page, in the browser's thread.

        `options` are those of Playwright's browser context, such as `viewport`.
        """

        def run() -> T:
            context = self._browser.new_context(**options)
            try:
                page = context.new_page()
                page.set_default_timeout(60_000)
                return look(page)
            finally:
                context.close()

        return await anyio.to_thread.run_sync(self._thread.submit(run).result)

    def close(self) -> None:
        """End the browser."""
        self._thread.submit(self._browser.close).result()
        self._thread.submit(self._playwright.stop).result()
        self._thread.shutdown()


def open_browser() -> Iterator[Driven]:
    """Yield a headless Chromium; without one the test fails with what to do."""
    named = os.environ.get("SDML_KAFKA_CHROMIUM")
    path = named or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(
            "The page is tested in Chromium: install it from the distribution's packages "
            "(apt-get install chromium), or name a program in SDML_KAFKA_CHROMIUM."
        )
    driven = Driven(path)
    yield driven
    driven.close()
