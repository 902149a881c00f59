"""Answers over HTTP end, whatever a server sends."""

from collections.abc import Callable, Iterable
from http.client import HTTPException
from itertools import chain, repeat
from urllib.error import URLError

import pytest

from sdml_kafka.cli.top import bounded_http
from sdml_kafka.cli.top.bounded_http import OutOfBounds, get
from sdml_kafka.cli.top.fetching import MAX_REASON, NoAnswer, fetch
from tests.support.raw_server import ANSWER, sending

pytestmark = pytest.mark.timeout(60)

CHUNKED = ANSWER + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


ENDLESS = {
    "interim answers": lambda: repeat(b"HTTP/1.1 100 Continue\r\nmore: of it\r\n\r\n"),
    "a body": lambda: chain([ANSWER, b"\r\n"], repeat(b"x" * 1000)),
    "a body of a wrong length": lambda: chain(
        [ANSWER, b"Content-Length: %d\r\n\r\n" % 10**18], repeat(b"x" * 1000)
    ),
    "chunks": lambda: chain([CHUNKED], repeat(b"3e8\r\n" + b"x" * 1000 + b"\r\n")),
    "what follows the chunks": lambda: chain([CHUNKED, b"0\r\n"], repeat(b"a: b\r\n")),
    "the body of a redirect": lambda: chain(
        [b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"], repeat(b"x" * 1000)
    ),
}
"""Without more than the library's own bounds these go on for ever."""


@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_without_an_end_ends_by_its_bytes(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "MAX_BYTES", 1 << 20)
    with sending(ENDLESS[what]) as url, pytest.raises(OutOfBounds, match="more than 1 MiB"):
        get(url)


@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_without_an_end_ends_by_its_time(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "MAX_FETCH_S", 0.0)
    with sending(ENDLESS[what]) as url, pytest.raises(OutOfBounds, match="takes more than 0 s"):
        get(url)


def test_a_chain_of_answers_that_lead_elsewhere_counts_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_http, "MAX_BYTES", 1 << 20)
    body = b"x" * 700_000
    answers = iter(
        [
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 700000\r\n\r\n",
            ANSWER + b"Content-Length: 700000\r\n\r\n",
        ]
    )
    with sending(lambda: [next(answers), body]) as url, pytest.raises(OutOfBounds, match="1 MiB"):
        get(url)


def test_answers_lead_elsewhere_over_http_alone() -> None:
    there = "ftp://127.0.0.1:1/status.json"
    found = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % there.encode()
    with sending(lambda: [found]) as url, pytest.raises(URLError, match="unknown url type: ftp"):
        get(url)


@pytest.mark.parametrize(
    "body",
    [
        ANSWER + b"Content-Length: 2\r\n\r\n{}",
        ANSWER + b"\r\n{}",
        CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\nmore: of it\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER + b"\r\n{}",
    ],
)
def test_a_body_is_read_whole(body: bytes) -> None:
    with sending(lambda: [body]) as url:
        assert get(url) == b"{}"


@pytest.mark.parametrize(
    "parts",
    [
        lambda: [b"\x1b[2J" * 10_000 + b"\r\n"],
        lambda: [ANSWER + b"a" * 70_000],
        lambda: [ANSWER + b"a: b\r\n" * 200 + b"\r\n{}"],
        lambda: [CHUNKED + b"\x1b[2J\r\n"],
        lambda: [ANSWER + b"Content-Length: 100\r\n\r\n{}"],
        lambda: [b""],
    ],
    ids=["status", "header", "headers", "chunk", "length", "nothing"],
)
def test_rubbish_is_said_in_few_words(parts: Callable[[], Iterable[bytes]]) -> None:
    with sending(parts) as url, pytest.raises((NoAnswer, HTTPException, OSError)) as raised:
        fetch(url)
    text = str(raised.value)
    assert raised.type is NoAnswer
    assert len(text) <= len(url) + MAX_REASON + 30
    assert text.isprintable()
