# pyright: basic
# aiokafka is not typed.
"""Ask about topics without creating them, and create them when that is what is wanted.

aiokafka asks for the topics that it reads or writes in such a way that a broker which creates
topics by itself does so: those that are misspelt, and those that were deleted.

`client._metadata_update` is a private attribute of aiokafka's client, checked on aiokafka 0.13.0,
0.14.0 and 0.15.0rc1. It is replaced, since there is no public way to refresh without creating.
"""

from collections.abc import Callable, Collection, Coroutine, Mapping
from random import sample
from typing import Any

from aiokafka import errors as kafka
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.metadata import MetadataRequest

from sdml_kafka.transport.aiokafka.client import Client

BROKERS_DEFAULT = -1
"""The number of partitions, or the replication factor, that the broker is configured with."""


async def ask_for_topics(client: Any, topics: Collection[str], *, create: bool = False) -> Any:
    """Return a broker's metadata of some topics, None if no broker answers.

    Without `topics` all are asked for. With `create` a broker that creates topics by itself does.
    """
    request = MetadataRequest(list(topics) or None, allow_auto_topic_creation=create)
    nodes = [broker.nodeId for broker in client.cluster.brokers()]
    for node in sample(nodes, len(nodes)):
        try:
            return await client.send(node, request)
        except kafka.KafkaError:
            continue
    return None


def drop_missing(answer: Any) -> None:
    """Take the topics that do not exist out of an answer.

    To aiokafka a missing topic is the same, but for an ERROR line each time.
    """
    answer.topics = [
        entry
        for entry in answer.topics
        if kafka.for_code(entry[0]) is not kafka.UnknownTopicOrPartitionError
    ]


def refresh_with(
    client: Client, ask: Callable[[Collection[str]], Coroutine[Any, Any, Any]]
) -> None:
    """Have the metadata refreshed with the answer of `ask`, which is None if no broker answered."""
    original = client._metadata_update

    async def update(cluster: Any, topics: Collection[str]) -> bool:
        if cluster is not client.cluster or not cluster.brokers():
            return bool(await original(cluster, ()))  # all topics, so that none is created
        answer = await ask(topics)
        if answer is None or not answer.brokers:
            cluster.failed_update(None)
            return False
        cluster.update_metadata(answer)
        return True

    client._metadata_update = update


async def create_topic(
    client: Client,
    topic: str,
    partitions: int = BROKERS_DEFAULT,
    config: Mapping[str, str] | None = None,
    *,
    timeout_s: float,
) -> bool:
    """Have a topic created, and return whether it is new. Raises errors of aiokafka."""
    settings = [(name, str(value)) for name, value in (config or {}).items()]
    wanted: list[Any] = [(topic, partitions, BROKERS_DEFAULT, [], settings)]
    request = CreateTopicsRequest(wanted, int(timeout_s * 1000), False)
    _, code, *message = (await ask_controller(client, request)).topic_errors[0]
    if (error := kafka.for_code(code)) is kafka.TopicAlreadyExistsError:
        return False
    if error is not kafka.NoError:
        raise error(*message)
    return True


async def ask_controller(client: Client, request: Any) -> Any:
    """Send a request to the controller; with KRaft any broker passes it on."""
    controller = client.cluster.controller
    node = client.get_random_node() if controller is None else controller.nodeId
    return await client.send(node, request)


def may_succeed_later(error: Any) -> bool:
    """Return whether an administrative request may be answered otherwise if it is sent again."""
    return bool(error.retriable) or isinstance(
        error, kafka.NotControllerError | kafka.KafkaConnectionError | kafka.NodeNotReadyError
    )
