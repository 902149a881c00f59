"""Who may ask for dead letters, by the headers of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka import ConfigurationError
from sdml_kafka.observability.dead_letters.access import Access, Refused

TOKEN = "a-token-of-16-characters"
GOOD = {
    "authorization": f"Bearer {TOKEN}",
    "content-type": "application/json",
    "host": "service:8000",
}


def status_of(**headers: str | None) -> int:
    """Return the status of an answer to a request with other headers than the good ones."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    try:
        Access(TOKEN).check(given)
    except Refused as refused:
        return refused.status
    return 200


def test_the_token_opens() -> None:
    assert status_of() == 200
    assert status_of(content_type="application/json; charset=utf-8") == 200


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", f"bearer {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xff"]
)
def test_any_other_token_does_not(given: str | None) -> None:
    assert status_of(authorization=given) == 403


@given(st.text(max_size=40))
def test_no_chance_text_does(given: str) -> None:
    assert status_of(authorization=f"Bearer {given}") == (200 if given == TOKEN else 403)


def test_a_form_cannot_ask() -> None:
    """Those of other sites have one of these content types, or ask for leave first."""
    for type_ in (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert status_of(content_type=type_) == 415


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("same-origin", "https://behind.a.proxy", 200),
        ("same-site", None, 403),
        ("cross-site", "http://service:8000", 403),
        ("none", None, 403),
        (None, "http://service:8000", 200),
        (None, "http://SERVICE:8000", 200),
        (None, "http://[x]", 403),
        (None, "http://[::1", 403),
        (None, "http://service:8001", 403),
        (None, "http://evil.example", 403),
        (None, "null", 403),
    ],
)
def test_other_sites_cannot(site: str | None, origin: str | None, status: int) -> None:
    assert status_of(sec_fetch_site=site, origin=origin) == status


@pytest.mark.parametrize("token", ["", "short", "with spaces in it, 16", "ümlaute-sind-zu-viel", 7])
def test_tokens_that_cannot_be(token: str) -> None:
    with pytest.raises(ConfigurationError, match="dead_letter_token"):
        Access(token)
