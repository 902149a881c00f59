"""The answers about dead letters: POST alone, JSON in and out, and nothing without the token."""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sdml_kafka.observability.dead_letters.access import Access, Refused
from sdml_kafka.observability.dead_letters.desk import Desk

MAX_BODY = 4096
"""The bytes of a request that are read."""
MAX_DIGITS = 20
"""The digits of an announced length; Python refuses to read very long numbers."""
MAX_PARTITION, MAX_OFFSET = 2**31 - 1, 2**63 - 1
"""The highest numbers that Kafka's protocol has room for."""

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


def dead_letter_routes(desk: Desk, access: Access) -> Sequence[Route]:
    """Return the routes."""

    def route(path: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                access.check(request.headers)
                return _json(await answer(await _body(request)), 200)
            except Refused as why:
                return _json({"error": str(why)}, why.status)
            except ClientDisconnect:  # no failure of the server, and nobody reads the answer
                return _json({"error": "the request has no end"}, 400)

        return Route(path, endpoint, methods=["POST"])

    async def list_(asked: dict[str, Any]) -> Any:
        return await desk.list()

    async def show(asked: dict[str, Any]) -> Any:
        return await desk.show(*_place(asked))

    async def replay(asked: dict[str, Any]) -> Any:
        if asked.keys() == {"topic"}:
            return await desk.replay_all(_topic(asked))
        return await desk.replay_one(*_place(asked))

    return [
        route("/dead-letters", list_),
        route("/dead-letters/show", show),
        route("/dead-letters/replay", replay),
    ]


async def _body(request: Request) -> dict[str, Any]:
    """Return what a request asks for, which is a JSON object of few bytes."""
    body, announced = bytearray(), request.headers.get("content-length", "0")
    is_number = announced.isdecimal() and len(announced) <= MAX_DIGITS
    if not is_number or int(announced) > MAX_BODY:
        raise Refused(413, "the request is too long")
    async with aclosing(request.stream()) as parts:
        async for part in parts:
            body += part
            if len(body) > MAX_BODY:
                raise Refused(413, "the request is too long")
    try:
        asked: Any = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise Refused(400, "the request is no JSON") from None
    if not isinstance(asked, dict):
        raise Refused(400, "the request is no JSON object")
    return cast("dict[str, Any]", asked)


def _topic(asked: dict[str, Any]) -> str:
    topic = asked.get("topic")
    if not isinstance(topic, str):
        raise Refused(400, 'the request names no "topic"')
    return topic


def _place(asked: dict[str, Any]) -> tuple[str, int, int]:
    partition = _number(asked.get("partition"), MAX_PARTITION)
    offset = _number(asked.get("offset"), MAX_OFFSET)
    if partition is None or offset is None:
        raise Refused(400, '"partition" and "offset" are whole numbers')
    return _topic(asked), partition, offset


def _number(asked: object, highest: int) -> int | None:
    return asked if type(asked) is int and 0 <= asked <= highest else None


def _json(document: object, status: int) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    body = json.dumps(document, ensure_ascii=True, allow_nan=False)
    return Response(body, status, headers, media_type="application/json")
