"""Find out that a client has lost its brokers for good, though they are there.

After an outage of all brokers librdkafka 2.16 may have forgotten every one of them, those of
`bootstrap.servers` too, and then asks nobody ever again. `metadata.recovery.strategy` is meant for
that, and fails now and then as well. So a client that finds no broker is compared with one that was
made just now, and replaced if that one is answered.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.librdkafka.group_protocol import without_group
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import ID, Settings, made, secrets_of

LOOK_S = 0.02
FRESH_TIMEOUT_S = 0.5
"""Seconds that a client that was made just now waits for an answer."""
SPARE_S = 1.0
"""Seconds that the other client gets beyond its own pause between two tries to connect."""
_OF_OTHERS = frozenset({ID, "enable.idempotence", "error_cb", "on_commit"})
LOST = "librdkafka has forgotten every broker, so its client is replaced"


def has_lost_brokers(
    settings: Settings, error: KafkaException, ask: Callable[[float], object]
) -> bool:
    """Return whether a client finds no broker and never will. This blocks for some seconds.

    Args:
        settings: The configuration of the client.
        error: What the client has raised as it was asked last.
        ask: Asks a broker by the client, for so many seconds at most.
    """
    if not finds_none(error) or not is_answered(settings):
        return False
    try:
        ask(reconnect_pause_s(settings))
    except KafkaException as again:
        return finds_none(again)
    return False


def _are_down(errors: Iterable[KafkaError]) -> bool:
    return any(each.code() == KafkaError._ALL_BROKERS_DOWN for each in errors)


def reconnect_pause_s(settings: Settings) -> float:
    """Return the seconds within which a client connects again that can."""
    return int(settings.get("reconnect.backoff.max.ms", 10_000)) / 1000 + SPARE_S


def finds_none(error: KafkaException) -> bool:
    """Return whether a client has not asked, since it has no connection to a broker."""
    code: int = error.args[0].code()
    return code == KafkaError._TRANSPORT


def is_answered(settings: Settings) -> bool:
    """Return whether a client that is made now is answered by brokers that work."""
    own = {name: value for name, value in without_group(settings).items() if name not in _OF_OTHERS}
    errors: list[KafkaError] = []
    own["error_cb"] = errors.append
    try:
        client: Any = made(AdminClient, own, ClientLog(secrets_of(settings)))
        with client:
            deadline = monotonic() + FRESH_TIMEOUT_S
            while monotonic() < deadline and not _are_down(errors):
                client.poll(LOOK_S)  # which asks for a login, where that takes a call
                if knows_cluster(client):
                    return True
    except SdmlKafkaError:
        pass
    return False


def knows_cluster(client: Any) -> bool:
    """Return whether a client has been answered by brokers that work. This asks nobody.

    It is the one sign that comes for nothing: a client asks for brokers when it connects.
    """
    try:
        return client.cluster_id(timeout=0) is not None
    except KafkaException:
        return False
