"""Kafka for structured concurrency: supervised actors on anyio, for asyncio, uvloop and trio."""

from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
    ClientClosed,
    ClientNotStarted,
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    ConsumerFailed,
    JoinTimeout,
    ParseFailed,
    RestartsExhausted,
    SdmlKafkaError,
    StreamBusy,
    UnknownType,
)
from sdml_kafka.kafka.port import Record, TopicPartition
from sdml_kafka.listener import KafkaListener
from sdml_kafka.parsing import Parser, ParserSpec, parse_bytes, parse_json, parse_text
from sdml_kafka.policies import AutoCommit, Restarts
from sdml_kafka.status import Counters, ListenerStatus, PartitionStatus
from sdml_kafka.streams import Delivery, TypeStream

__all__ = [
    "AuthenticationFailed",
    "AuthorizationFailed",
    "AutoCommit",
    "BrokerUnreachable",
    "ClientClosed",
    "ClientNotStarted",
    "CommitFailed",
    "CommitRejected",
    "ConfigurationError",
    "ConsumerFailed",
    "Counters",
    "Delivery",
    "JoinTimeout",
    "KafkaListener",
    "ListenerStatus",
    "ParseFailed",
    "Parser",
    "ParserSpec",
    "PartitionStatus",
    "Record",
    "Restarts",
    "RestartsExhausted",
    "SdmlKafkaError",
    "StreamBusy",
    "TopicPartition",
    "TypeStream",
    "UnknownType",
    "parse_bytes",
    "parse_json",
    "parse_text",
]
