"""Describe a program in AsyncAPI 3: https://www.asyncapi.com/docs/reference/specification/v3.0.0."""

from collections.abc import Mapping, Sequence
from typing import Any

from sdml_kafka.asyncapi.declared import Describable, Sends, declarations_of
from sdml_kafka.asyncapi.parts import Parts
from sdml_kafka.asyncapi.payloads import Json, name_of
from sdml_kafka.asyncapi.signatures import hints_of, texts_of
from sdml_kafka.declarations import Answering, Declaration, Processing
from sdml_kafka.errors import ConfigurationError

VERSION = "3.0.0"
REPLY_TOPIC = "x-reply-topic"
"""The header that names the topic for the replies to a request (docs/wire.md)."""


def document(
    *objects: Describable, title: str = "Kafka", version: str = "1.0.0", description: str = ""
) -> dict[str, Any]:
    """Describe what a program reads, answers and writes, as an AsyncAPI 3.0 document.

    Nothing is connected, so it may run where there is no Kafka.

    Args:
        *objects: Listeners, clients and servers of calls, and producers, entered or not, and a
            `Sends` for each topic that handlers write to, since no declaration names these.
        title: The name of the program.
        version: The version of the program's interface.
        description: What the program is for; may be CommonMark.

    Returns:
        The document, for `json.dumps`. The same objects give the same document.

    Raises:
        ConfigurationError: An object is something else, or two different types share a name.
    """
    declarations, sends = declarations_of(objects)
    if not (declarations or sends):
        raise ConfigurationError(
            "asyncapi.document describes nothing: give it a listener or server"
        )
    parts = Parts()
    servers = list[str]()
    for each in declarations:
        found = parts.servers.add(each.client)
        servers += found
        _add(parts, each, found)
    for sent in sends:
        _add_sends(parts, sent, list(dict.fromkeys(servers)))
    info = {"title": title, "version": version}
    if description:
        info["description"] = description
    whole: Json = {"asyncapi": VERSION, "info": info}
    named = {
        "servers": parts.servers.servers,
        "channels": parts.channels,
        "operations": parts.operations,
        "components": parts.components(),
    }
    return whole | {name: each for name, each in named.items() if each}


def _add(parts: Parts, declared: Declaration, servers: Sequence[str]) -> None:
    handled = {(topic, each.type) for each in declared.processes for topic in each.topics}
    for reading in declared.reads:
        for topic in reading.topics:
            channel = parts.topic(topic, servers)
            correlated = _correlated(declared) if declared.kind == "client" else {}
            message = parts.message(channel, reading.type, reading.parser, **correlated)
            if (topic, reading.type) not in handled:
                key = f"receive-{topic}-{name_of(reading.type)}"
                parts.operation(key, "receive", channel, [message], declared.group_id)
    for processing in declared.processes:
        _add_processing(parts, declared, processing, servers)
    for answering in declared.answers:
        _add_answering(parts, declared, answering, servers)
    for topic in declared.dead_letter_topics:
        channel = parts.topic(topic, servers)
        letter = parts.message(channel, bytes, None, summary="A record that could not be parsed")
        parts.operation(f"dead-letters-{topic}", "send", channel, [letter])


def _add_processing(
    parts: Parts, declared: Declaration, processing: Processing, servers: Sequence[str]
) -> None:
    group_id, texts = declared.group_id, texts_of(processing.function)
    parsers = {
        topic: each.parser
        for each in declared.reads
        if each.type == processing.type
        for topic in each.topics
    }
    for topic in processing.topics:
        key = processing.name if len(processing.topics) == 1 else f"{processing.name}-{topic}"
        message = parts.message(topic, processing.type, parsers.get(topic))
        parts.operation(key, "receive", topic, [message], group_id, **texts)
    parser = next(iter(parsers.values()), None)
    for topic in processing.retry_topics:
        channel = parts.topic(topic, servers)
        summary = "A record that has failed, to be tried again when it is due"
        message = parts.message(channel, processing.type, parser, summary=summary)
        parts.operation(f"{processing.name}-retry-send-{topic}", "send", channel, [message])
        key = f"{processing.name}-retry-{topic}"
        parts.operation(key, "receive", channel, [message], group_id)
    for topic in processing.dead_letter_topics:
        channel = parts.topic(topic, servers)
        summary = "A record that has failed for good; its headers say why"
        letter = parts.message(channel, processing.type, parser, summary=summary)
        parts.operation(f"{processing.name}-dead-letter-{topic}", "send", channel, [letter])


def _add_answering(
    parts: Parts, declared: Declaration, answering: Answering, servers: Sequence[str]
) -> None:
    takes, returns = hints_of(answering.function)
    if answering.parser is None:
        takes = bytes
    if answering.serializer is None:
        returns = bytes
    for topic in answering.topics:
        channel = parts.topic(topic, servers)
        request = parts.message(
            channel, takes, answering.parser, **_correlated(declared, REPLY_TOPIC)
        )
        kind = "The replies of a stream" if answering.is_stream else "The reply"
        replies = parts.replies(f"{topic}:replies", f"{kind} to {topic}")
        reply = parts.message(replies, returns, answering.serializer, **_correlated(declared))
        more: Mapping[str, Any] = {
            **texts_of(answering.function),
            "reply": {
                "address": {"location": f"$message.header#/{REPLY_TOPIC}"},
                "channel": {"$ref": f"#/channels/{replies}"},
                "messages": [reply],
            },
        }
        name = answering.name.rpartition(".")[2]
        key = name if len(answering.topics) == 1 else f"{name}-{topic}"
        parts.operation(key, "receive", channel, [request], declared.group_id, **more)


def _add_sends(parts: Parts, sends: Sends, servers: Sequence[str]) -> None:
    channel = parts.topic(sends.topic, servers)
    more = {"summary": sends.description} if sends.description else {}
    written = sends.content_type or _usual_content_type(sends.type)
    message = parts.message(channel, sends.type, None, written, **more)
    parts.operation(f"send-{sends.topic}-{name_of(sends.type)}", "send", channel, [message])


def _usual_content_type(type_: Any) -> str:
    return "" if type_ in (bytes, str) else "application/json"


def _correlated(declared: Declaration, *headers: str) -> Json:
    """Return the fields of a message of a call: its headers, and where its id is."""
    names = [each for each in (declared.id_header, *headers) if each]
    if not names:
        return {}
    properties = {each: {"type": "string"} for each in names}
    fields: Json = {"headers": {"type": "object", "properties": properties}}
    if declared.id_header:
        fields["correlationId"] = {"location": f"$message.header#/{declared.id_header}"}
    return fields
