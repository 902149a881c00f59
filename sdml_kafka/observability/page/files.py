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
DEAD_LETTERS = {"/dead-letters.js": ("dead-letters.js", "text/javascript")}
"""The file that is there only where dead letters are shown."""
TAG = b'<script src="dead-letters.js" defer></script>'
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


def page_routes(*, with_dead_letters: bool = False) -> Sequence[Route]:
    """Return the routes of the page, whose files are read now."""
    folder = files("sdml_kafka.observability.page")
    script = DEAD_LETTERS if with_dead_letters else {}
    contents = {
        path: (folder.joinpath(name).read_bytes(), type_)
        for path, (name, type_) in (FILES | script).items()
    }
    if with_dead_letters:
        page, type_ = contents["/"]
        contents["/"] = page.replace(b"</head>", TAG + b"\n</head>"), type_
    return [
        Route(path, partial(_answer, *content, path == "/")) for path, content in contents.items()
    ]


async def _answer(content: bytes, type_: str, is_folder: bool, request: Request) -> Response:
    if is_folder and (address := with_slash(request)):
        return RedirectResponse(address)
    return Response(content, headers=HEADERS, media_type=type_)
