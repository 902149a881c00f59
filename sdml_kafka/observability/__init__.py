"""Ways to look at a program from outside: health and status over HTTP, metrics, traces, a page.

Programs use `observability.app(listener, ...)`, and the hooks of the folders in here. All of it is
built on `status()`, `health()` and hooks, and nothing below knows of it. Its libraries are extras,
which are imported when they are needed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdml_kafka.observability.application import app
    from sdml_kafka.observability.status_document import status_json

__all__ = ["app", "status_json"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from sdml_kafka.observability.application import app

        return app
    if name == "status_json":
        from sdml_kafka.observability.status_document import status_json

        return status_json
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
