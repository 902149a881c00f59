"""Runs the tests that are trio's inside of a loop of trio-asyncio, and no others.

A pytest plugin for a process of its own, since the import of trio-asyncio changes asyncio's event
loops: `pytest -p tests.support.inside_trio_asyncio -n 0 tests/listener`.
"""

import warnings
from collections.abc import AsyncIterator

import pytest

with warnings.catch_warnings():
    # It names a class of asyncio's that goes away with Python 3.14.
    warnings.filterwarnings("ignore", "'AbstractChildWatcher'", DeprecationWarning)
    import trio_asyncio


@pytest.fixture(autouse=True)
async def enclosing_loop(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[object]:
    def no_thread() -> None:
        raise AssertionError("the client was to live on the loop that is there")

    monkeypatch.setattr("sdml_kafka.transport.asyncio_loop.ThreadLoop", no_thread)
    async with trio_asyncio.open_loop() as loop:
        yield loop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if _is_trio(item)]


def _is_trio(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("anyio_backend") == ("trio", {})
