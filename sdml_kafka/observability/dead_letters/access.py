"""Access: whoever has the token may ask, from a page of this server or from a program. Pure."""

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from sdml_kafka.errors import ConfigurationError

MIN_TOKEN = 16
"""The characters that a token has at least."""


class Refused(Exception):
    """A request is not answered; `status` is the HTTP status, and the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Access:
    """Checks requests by their headers. The token is neither logged nor shown."""

    def __init__(self, token: str) -> None:
        """Take the token.

        Raises:
            ConfigurationError: It is too short, or no header can hold it.
        """
        if not (
            isinstance(token, str)  # pyright: ignore[reportUnnecessaryIsInstance]
            and len(token) >= MIN_TOKEN
            and token.isascii()
            and token.isprintable()
            and " " not in token
        ):
            raise ConfigurationError(
                f"dead_letter_token has {MIN_TOKEN} characters or more, of printable ASCII without "
                "spaces, such as secrets.token_urlsafe() returns"
            )
        self._expected = f"Bearer {token}".encode()

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise Refused unless the request may be answered; names of headers are in lower case.

        A browser sends no such header for another site by itself. Where it says that another site
        has asked, the request is refused even so.
        """
        if not _is_same_origin(headers):
            raise Refused(403, "another site has asked")
        given = headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._expected):
            raise Refused(403, "the token is wrong or missing")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "the content type has to be application/json")


def _is_same_origin(headers: Mapping[str, str]) -> bool:
    """Return whether no browser says that another site has asked."""
    site = headers.get("sec-fetch-site")
    if site is not None:  # which a proxy in between does not change
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:  # brackets without an address in them
        return False
