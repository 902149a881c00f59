"""Let the application be served at any path, by frameworks that hand paths on in several ways.

Starlette leaves the mount in front of the path. Litestar takes it away, and puts a slash behind the
path. A redirect that says where the path without the slash is would lead out of such a mount.
"""

from urllib.parse import quote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send


class OneSpelling:
    """Hands requests on with one slash in front of the path, and none behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            root: str = scope.get("root_path", "").rstrip("/")
            path: str = scope["path"]
            if not f"{path}/".startswith(f"{root}/"):
                root = ""
            scope = {**scope, "path": f"{root}/{path[len(root) :].strip('/')}"}
        await self._app(scope, receive, send)


def with_slash(request: Request) -> str | None:
    """Return where a folder is whose address was asked for without its slash, None if it has one.

    Links in a page are relative to its folder, which is the one above without that slash. The
    answer is relative as well, since a proxy may have put another path in front.
    """
    raw: bytes | None = request.scope.get("raw_path")
    path = quote(request.scope["path"]) if raw is None else raw.decode("ascii", "replace")
    name = path.partition("?")[0].rpartition("/")[2]
    return f"./{quote(name, safe='%:')}/" if name else None
