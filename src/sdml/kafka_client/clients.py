"""Where the former client had its classes."""

from sdml_kafka.listener import KafkaListener
from sdml_kafka.rpc import KafkaRPC

__all__ = ["KafkaListener", "KafkaRPC"]
