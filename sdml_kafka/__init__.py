"""Kafka for structured concurrency: supervised actors on anyio, for asyncio, uvloop and trio.

The names are imported on first use, so that the pytest plugin and `import sdml_kafka.runtime`,
which knows nothing of Kafka, load no Kafka client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdml_kafka.consuming.commit_schedule import AutoCommit
    from sdml_kafka.consuming.status import PartitionStatus
    from sdml_kafka.errors import (
        AdvertisedAddressUnreachable,
        AuthenticationFailed,
        AuthorizationFailed,
        BrokerUnreachable,
        CallIdInUse,
        CallTimeout,
        ClientClosed,
        ClientNotStarted,
        CommitFailed,
        CommitRejected,
        ConfigurationError,
        ConsumerFailed,
        CoordinatorUnavailable,
        DocumentInvalid,
        EnteredBeforeFork,
        GroupFull,
        GroupShared,
        JoinTimeout,
        OffsetBeyondEnd,
        ParseFailed,
        PayloadTooLarge,
        ProducerFailed,
        ProducerFenced,
        RecordRefused,
        RemoteError,
        RemoteTimeout,
        ReplyInvalid,
        RestartsExhausted,
        SdmlKafkaError,
        SeekFailed,
        SendFailed,
        StreamBroken,
        StreamBusy,
        TooManyDeadLetters,
        TopicMissing,
        TransactionFailed,
        TransactionInDoubt,
        UnknownType,
    )
    from sdml_kafka.listener.delivery import Delivery
    from sdml_kafka.listener.listener import KafkaListener
    from sdml_kafka.listener.processing.forwards import Held
    from sdml_kafka.listener.processing.policies import (
        Batch,
        DeadLetter,
        Retry,
        RetryTopics,
        Send,
        Stop,
        Transaction,
    )
    from sdml_kafka.listener.processing.status import ProcessorStatus
    from sdml_kafka.listener.status import Counters, ListenerStatus
    from sdml_kafka.listener.streams import TypeStream
    from sdml_kafka.parsing.json_library import json_library
    from sdml_kafka.parsing.models import (
        parse_msgspec,
        parse_pydantic,
        to_json,
        to_msgspec,
        to_pydantic,
    )
    from sdml_kafka.parsing.parsers import (
        SKIP,
        Parser,
        ParserSpec,
        Skip,
        parse_bytes,
        parse_json,
        parse_text,
    )
    from sdml_kafka.producer.pending_sends import PendingSend, Sent
    from sdml_kafka.producer.producer import KafkaProducer
    from sdml_kafka.producer.status import ProducerStatus
    from sdml_kafka.producer.transactions import OpenTransaction
    from sdml_kafka.rpc.client.client import KafkaRPC
    from sdml_kafka.rpc.client.reply_stream import ReplyStream
    from sdml_kafka.rpc.client.status import RPCCounters, RPCStatus
    from sdml_kafka.rpc.server.call import Call
    from sdml_kafka.rpc.server.dedupe import Dedupe
    from sdml_kafka.rpc.server.server import KafkaRPCServer
    from sdml_kafka.rpc.server.status import ServerCounters, ServerStatus
    from sdml_kafka.runtime import Restarts
    from sdml_kafka.transport.interfaces.records import Record, TopicPartition

__all__ = [
    "SKIP",
    "AdvertisedAddressUnreachable",
    "AuthenticationFailed",
    "AuthorizationFailed",
    "AutoCommit",
    "Batch",
    "BrokerUnreachable",
    "Call",
    "CallIdInUse",
    "CallTimeout",
    "ClientClosed",
    "ClientNotStarted",
    "CommitFailed",
    "CommitRejected",
    "ConfigurationError",
    "ConsumerFailed",
    "CoordinatorUnavailable",
    "Counters",
    "DeadLetter",
    "Dedupe",
    "Delivery",
    "DocumentInvalid",
    "EnteredBeforeFork",
    "GroupFull",
    "GroupShared",
    "Held",
    "JoinTimeout",
    "KafkaListener",
    "KafkaProducer",
    "KafkaRPC",
    "KafkaRPCServer",
    "ListenerStatus",
    "OffsetBeyondEnd",
    "OpenTransaction",
    "ParseFailed",
    "Parser",
    "ParserSpec",
    "PartitionStatus",
    "PayloadTooLarge",
    "PendingSend",
    "ProcessorStatus",
    "ProducerFailed",
    "ProducerFenced",
    "ProducerStatus",
    "RPCCounters",
    "RPCStatus",
    "Record",
    "RecordRefused",
    "RemoteError",
    "RemoteTimeout",
    "ReplyInvalid",
    "ReplyStream",
    "Restarts",
    "RestartsExhausted",
    "Retry",
    "RetryTopics",
    "SdmlKafkaError",
    "SeekFailed",
    "Send",
    "SendFailed",
    "Sent",
    "ServerCounters",
    "ServerStatus",
    "Skip",
    "Stop",
    "StreamBroken",
    "StreamBusy",
    "TooManyDeadLetters",
    "TopicMissing",
    "TopicPartition",
    "Transaction",
    "TransactionFailed",
    "TransactionInDoubt",
    "TypeStream",
    "UnknownType",
    "json_library",
    "parse_bytes",
    "parse_json",
    "parse_msgspec",
    "parse_pydantic",
    "parse_text",
    "to_json",
    "to_msgspec",
    "to_pydantic",
]

_MODULES = {
    "SKIP": "parsing.parsers",
    "AdvertisedAddressUnreachable": "errors",
    "AuthenticationFailed": "errors",
    "AuthorizationFailed": "errors",
    "AutoCommit": "consuming.commit_schedule",
    "Batch": "listener.processing.policies",
    "BrokerUnreachable": "errors",
    "Call": "rpc.server.call",
    "CallIdInUse": "errors",
    "CallTimeout": "errors",
    "ClientClosed": "errors",
    "ClientNotStarted": "errors",
    "CommitFailed": "errors",
    "CommitRejected": "errors",
    "ConfigurationError": "errors",
    "ConsumerFailed": "errors",
    "CoordinatorUnavailable": "errors",
    "Counters": "listener.status",
    "DeadLetter": "listener.processing.policies",
    "Dedupe": "rpc.server.dedupe",
    "Delivery": "listener.delivery",
    "DocumentInvalid": "errors",
    "EnteredBeforeFork": "errors",
    "GroupFull": "errors",
    "GroupShared": "errors",
    "Held": "listener.processing.forwards",
    "JoinTimeout": "errors",
    "KafkaListener": "listener.listener",
    "KafkaProducer": "producer.producer",
    "KafkaRPC": "rpc.client.client",
    "KafkaRPCServer": "rpc.server.server",
    "ListenerStatus": "listener.status",
    "OffsetBeyondEnd": "errors",
    "OpenTransaction": "producer.transactions",
    "ParseFailed": "errors",
    "Parser": "parsing.parsers",
    "ParserSpec": "parsing.parsers",
    "PartitionStatus": "consuming.status",
    "PayloadTooLarge": "errors",
    "PendingSend": "producer.pending_sends",
    "ProcessorStatus": "listener.processing.status",
    "ProducerFailed": "errors",
    "ProducerFenced": "errors",
    "ProducerStatus": "producer.status",
    "RPCCounters": "rpc.client.status",
    "RPCStatus": "rpc.client.status",
    "Record": "transport.interfaces.records",
    "RecordRefused": "errors",
    "RemoteError": "errors",
    "RemoteTimeout": "errors",
    "ReplyInvalid": "errors",
    "ReplyStream": "rpc.client.reply_stream",
    "Restarts": "runtime",
    "RestartsExhausted": "errors",
    "Retry": "listener.processing.policies",
    "RetryTopics": "listener.processing.policies",
    "SdmlKafkaError": "errors",
    "Send": "listener.processing.policies",
    "SeekFailed": "errors",
    "SendFailed": "errors",
    "Sent": "producer.pending_sends",
    "ServerCounters": "rpc.server.status",
    "ServerStatus": "rpc.server.status",
    "Skip": "parsing.parsers",
    "Stop": "listener.processing.policies",
    "StreamBroken": "errors",
    "StreamBusy": "errors",
    "TooManyDeadLetters": "errors",
    "TopicMissing": "errors",
    "Transaction": "listener.processing.policies",
    "TransactionFailed": "errors",
    "TransactionInDoubt": "errors",
    "TopicPartition": "transport.interfaces.records",
    "TypeStream": "listener.streams",
    "UnknownType": "errors",
    "json_library": "parsing.json_library",
    "parse_bytes": "parsing.parsers",
    "parse_json": "parsing.parsers",
    "parse_msgspec": "parsing.models",
    "parse_pydantic": "parsing.models",
    "parse_text": "parsing.parsers",
    "to_json": "parsing.models",
    "to_msgspec": "parsing.models",
    "to_pydantic": "parsing.models",
}
"""The module of each public name, below this package."""


def __getattr__(name: str) -> object:
    """Import a public name from its module, and keep it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names as well as the names that are imported already."""
    return sorted({*globals(), *__all__})
