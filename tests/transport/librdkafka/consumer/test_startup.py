"""A topic that is created at a start, by a broker that does not answer."""

from concurrent.futures import Future
from time import monotonic
from typing import Any, Self

import pytest

from sdml_kafka.errors import BrokerUnreachable
from sdml_kafka.transport.librdkafka.consumer import startup as module
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.consumer.startup import Startup

SETTINGS = {"bootstrap.servers": "127.0.0.1:1", "group.id": "group"}


class Silent:
    """A client of a broker that never answers."""

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    def create_topics(self, topics: object, request_timeout: float) -> dict[str, Any]:
        self.timeouts.append(request_timeout)
        return {"orders": Future[None]()}

    def find(self, create: Any) -> None:
        create("orders")

    def poll(self, timeout_s: float) -> None:
        """Have nothing."""

    note_error = print


def test_a_stop_is_not_kept_waiting_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = Silent()
    monkeypatch.setattr(module, "made", lambda *_: client)
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    looks = iter([False, False, True, True, True])
    startup = Startup(SETTINGS, client, client, Obstacles(SETTINGS, print), lambda: next(looks))
    with pytest.raises(BrokerUnreachable):
        startup.find(client, 1.5, monotonic() + 1.5, creates=True)
    (timeout_s,) = client.timeouts
    assert timeout_s <= 1.5  # so that the start is over by then
