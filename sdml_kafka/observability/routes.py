"""The answers of the application: /live, /ready, /metrics, /status.json, and the page."""

import json
from collections.abc import Sequence
from typing import Literal, TypedDict

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.health.facts import Limits
from sdml_kafka.listener.listener import KafkaListener
from sdml_kafka.observability.dead_letters.access import Access
from sdml_kafka.observability.dead_letters.desk import Desk
from sdml_kafka.observability.dead_letters.endpoints import dead_letter_routes
from sdml_kafka.observability.document_shape import HealthDocument, StatusDocument
from sdml_kafka.observability.mounting import OneSpelling
from sdml_kafka.observability.page.files import page_routes
from sdml_kafka.observability.status_document import (
    Observed,
    document_of,
    health_document,
    health_of,
    named,
)


class Answer(TypedDict):
    """The answer of /live and /ready."""

    live: bool
    ready: bool
    objects: dict[str, HealthDocument]


class Routes:
    """Answers for some objects, on their event loop. Only those about dead letters wait."""

    def __init__(
        self,
        objects: Sequence[Observed],
        stuck_after_s: float,
        away_after_s: float,
        dead_letter_token: str | None = None,
    ) -> None:
        if not objects:
            raise ConfigurationError("observability.app(listener): it needs an object to look at")
        self._objects = named(objects)
        self._limits = stuck_after_s, away_after_s
        Limits(*self._limits)
        self._access = None if dead_letter_token is None else Access(dead_letter_token)

    def application(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/live", self._live),
                Route("/ready", self._ready),
                Route("/status.json", self._status),
                Route("/metrics", self._metrics),
                *page_routes(with_dead_letters=self._access is not None),
                *self._dead_letter_routes(),
            ],
            middleware=[Middleware(OneSpelling)],
        )

    def _dead_letter_routes(self) -> Sequence[Route]:
        if self._access is None:
            return []
        listeners = [each for each in self._objects.values() if isinstance(each, KafkaListener)]
        return dead_letter_routes(Desk(listeners), self._access)

    def status(self) -> StatusDocument:
        """Return what all objects do now."""
        return document_of(self._objects, *self._limits)

    async def _live(self, request: Request) -> Response:
        return self._health("live")

    async def _ready(self, request: Request) -> Response:
        return self._health("ready")

    async def _metrics(self, request: Request) -> Response:
        try:
            from sdml_kafka.observability.prometheus.exposition import exposition
        except ConfigurationError as error:  # prometheus-client is not installed
            return Response(str(error), 501, media_type="text/plain")
        body, content_type = exposition(self._objects, *self._limits)
        return Response(body, headers={"content-type": content_type})

    def _health(self, asked: Literal["live", "ready"]) -> Response:
        healths = {
            name: health_document(health_of(each, *self._limits))
            for name, each in self._objects.items()
        }
        live = all(each["live"] for each in healths.values())
        ready = all(each["ready"] for each in healths.values())
        answer = Answer(live=live, ready=ready, objects=healths)
        return _json(answer, 200 if answer[asked] else 503)

    async def _status(self, request: Request) -> Response:
        return _json(self.status(), 200)


def _json(document: object, status: int) -> Response:
    body = json.dumps(document, ensure_ascii=True, allow_nan=False)
    headers = {"Cache-Control": "no-store"}
    return Response(body, status, headers, media_type="application/json")
