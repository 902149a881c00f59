"""Ask a broker once how long the sessions of a group are, which it decides with KIP-848.

The answer is for people alone, so nothing waits for it: a thread of its own asks, and where a
broker may not say it or does not answer, nobody hears of it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.librdkafka.group_protocol import without_group
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import Settings, made

TIMEOUT_S = 10.0
LOOK_S = 0.1
CLOSE_TIMEOUT_S = 0.5
SESSION = "consumer.session.timeout.ms"
"""The option of a group; where it has none a broker answers with `group.` and that of its own."""


class SessionLookup:
    """One question, by a client that lives as long as it."""

    def __init__(
        self, settings: Settings, log: ClientLog, on_found: Callable[[float], object]
    ) -> None:
        """Ask in a thread.

        Args:
            settings: The configuration of the group's member.
            log: Where the client's lines go.
            on_found: Called in that thread with the seconds, if a broker says them.
        """
        self._settings = settings
        self._log = log
        self._on_found = on_found
        self._is_wanted = True
        self._thread = threading.Thread(target=self._ask, name="sdml-kafka-session", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the question up, and wait a moment until its client is gone."""
        self._is_wanted = False
        self._thread.join(CLOSE_TIMEOUT_S)

    def _ask(self) -> None:
        with suppress(KafkaException, SdmlKafkaError, TimeoutError):
            group = ConfigResource(ConfigResource.Type.GROUP, str(self._settings["group.id"]))
            client: Any = made(AdminClient, without_group(self._settings), self._log)
            with client:
                answers = client.describe_configs([group], request_timeout=TIMEOUT_S)
                entries = self._awaited(answers[group])
            if SESSION in entries and self._is_wanted:
                self._on_found(int(entries[SESSION].value) / 1000)

    def _awaited(self, answer: "Future[dict[str, Any]]") -> dict[str, Any]:
        """Return the answer, nothing if it is not wanted any more."""
        while self._is_wanted:
            with suppress(TimeoutError):
                return answer.result(LOOK_S)
        return {}
