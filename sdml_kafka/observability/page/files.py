"""Serve the page's files, and nothing else: no path of a request is ever a path of a file."""

from collections.abc import Sequence
from functools import partial
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sdml_kafka.observability.mounting import with_slash

FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
"""The file of each path, and its type."""
HEADERS = {
    # The page loads its own files and asks its own server; nobody may show it in a frame.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes() -> Sequence[Route]:
    """Return the routes of the page, whose files are read now."""
    folder = files("sdml_kafka.observability.page")
    return [
        Route(path, partial(_answer, folder.joinpath(name).read_bytes(), type_, path == "/"))
        for path, (name, type_) in FILES.items()
    ]


async def _answer(content: bytes, type_: str, is_folder: bool, request: Request) -> Response:
    if is_folder and (address := with_slash(request)):
        return RedirectResponse(address)
    return Response(content, headers=HEADERS, media_type=type_)
