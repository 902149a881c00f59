"""The examples of docs/wire.md are what clients and servers write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sdml_kafka.rpc.dialects.messages import Reply
from sdml_kafka.rpc.dialects.native import (
    NATIVE_REPLIES,
    Wire,
    cancel_headers,
    reply_to_headers,
    request_headers,
)

PAGE = Path(__file__).parents[3] / "docs" / "wire.md"
HEADER = re.compile(r"`([\w-]+)`=`([^`]+)`")


def example_headers() -> dict[int, list[tuple[str, bytes]]]:
    """Return the headers in each row of the table of bytes, by the number of the row."""
    rows: dict[int, list[tuple[str, bytes]]] = {}
    for line in PAGE.read_text("utf-8").splitlines():
        if row := re.match(r"\| (\d+) \|", line):
            rows[int(row[1])] = [(name, in_bytes(value)) for name, value in HEADER.findall(line)]
    return rows


def in_bytes(shown: str) -> bytes:
    return shown.strip('"').encode() if shown.startswith('"') else bytes.fromhex(shown)


def test_the_requests_on_the_page_are_what_a_client_writes() -> None:
    shown, name = example_headers(), "request_id"
    to_reply = reply_to_headers(["reply"], None)
    to_third = reply_to_headers(["reply"], 3)
    assert shown[1] == request_headers(b"7f3a-1", name, to_reply, 30_000)
    assert shown[4] == request_headers(b"7f3a-2", name, to_third, 500)
    assert shown[6] == request_headers(b"7f3a-3", None, to_reply, None)
    assert shown[10] == request_headers(b"7f3a-4", name, (), 30_000)
    assert shown[11] == request_headers(b"7f3a-5", name, to_reply, None)
    assert shown[14] == cancel_headers(b"7f3a-5", name)


def test_the_replies_on_the_page_are_what_a_server_writes() -> None:
    shown = example_headers()

    def replies_to(row: int, *more: Any, **parts: Any) -> list[tuple[str, bytes]]:
        request = Wire().read_request(shown[row], b"7f3a-3")
        return NATIVE_REPLIES.reply_headers(Reply(request.id, *more, **parts), request.id_name)

    assert shown[2] == replies_to(1)
    assert shown[3] == replies_to(1, "not_found", "no apples")
    assert shown[5] == replies_to(4)
    assert shown[7] == replies_to(6)
    assert shown[9] == replies_to(8)
    assert shown[12] == replies_to(11, sequence=0, cancel_partition=2)
    assert shown[13] == replies_to(11, sequence=1, is_end=True, cancel_partition=2)
