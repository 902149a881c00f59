"""Tests that use aiokafka or asyncio itself, and so run on asyncio alone."""

import pytest

on_asyncio = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")]
)
