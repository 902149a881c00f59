"""The channels, messages and operations of a document, each under a key of its own.

A channel is a topic; what else has its name would be another channel, with another key. Operations
refer to the messages of their channel.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sdml_kafka.asyncapi.payloads import Json, Payloads, content_type, key_of, key_of_type
from sdml_kafka.asyncapi.servers import Servers

BINDING = "0.5.0"
"""The version of the bindings of Kafka, which AsyncAPI keeps apart from its own."""


class Parts:
    """The parts of a document that were added so far."""

    def __init__(self) -> None:
        self.payloads: Payloads = Payloads()
        self.servers: Servers = Servers()
        self.channels: dict[str, Json] = {}
        self.operations: dict[str, Json] = {}

    def topic(self, topic: str, servers: Sequence[str]) -> str:
        """Add a topic, and return its channel's key."""
        channel = self.channels.setdefault(
            topic,
            {
                "address": topic,
                "messages": {},
                "bindings": {"kafka": {"topic": topic, "bindingVersion": BINDING}},
            },
        )
        known = channel.setdefault("servers", [])
        known += [each for key in servers if (each := _reference("servers", key)) not in known]
        if not known:
            del channel["servers"]
        return topic

    def replies(self, key: str, title: str) -> str:
        """Add a channel whose address each request names, and return its key.

        No topic can be called like the key, which has a colon.
        """
        self.channels.setdefault(key, {"address": None, "title": title, "messages": {}})
        return key

    def message(
        self,
        channel: str,
        type_: Any,
        codec: Callable[..., Any] | None,
        media_type: str = "",
        **more: Any,
    ) -> Json:
        """Add a message to a channel, and return the reference to it.

        Args:
            channel: The channel's key.
            type_: The type of the values.
            codec: Their parser or serializer; None for bytes as they are.
            media_type: How they are written, if that is known.
            **more: Further fields of the message.
        """
        written = media_type or content_type(type_, codec)
        schema = self.payloads.schema(type_)
        name = key_of_type(type_)
        fields = {"name": name, "contentType": written, "payload": schema, **more}
        message = {field: value for field, value in fields.items() if value is not None}
        messages = self.channels[channel]["messages"]
        key = _free_key(messages, name, message)
        messages[key] = message
        return _reference("channels", channel, "messages", key)

    def operation(
        self,
        key: str,
        action: str,
        channel: str,
        messages: Sequence[Json],
        group_id: str = "",
        **more: Any,
    ) -> None:
        """Add what a program does with the messages of a channel."""
        operation: Json = {
            "action": action,
            "channel": _reference("channels", channel),
            **more,
            "messages": list(messages),
        }
        if group_id:
            group = {"type": "string", "enum": [group_id]}
            operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
        self.operations[_free_key(self.operations, key_of(key), operation)] = operation

    def components(self) -> Json:
        """Return what the other parts refer to."""
        found = {"schemas": self.payloads.components, "securitySchemes": self.servers.schemes}
        return {name: dict(sorted(each.items())) for name, each in found.items() if each}


def _free_key(taken: dict[str, Json], key: str, value: Json) -> str:
    """Return a key that is free, or has this value already."""
    number, free = 1, key
    while free in taken and taken[free] != value:
        number += 1
        free = f"{key}-{number}"
    return free


def _reference(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}
