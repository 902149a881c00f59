"""Backends by the names that are given to processes."""

from collections.abc import Mapping
from typing import Any

BACKENDS: Mapping[str, Mapping[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}
"""The options of `anyio.run`."""


def name_of(backend: tuple[str, Mapping[str, object]]) -> str:
    """Return the name of a backend as the fixture `anyio_backend` gives it."""
    name, options = backend
    return "uvloop" if options.get("use_uvloop") else name
