"""Where the former client had its classes."""

from sdml_kafka.listener.listener import KafkaListener
from sdml_kafka.rpc.client.client import KafkaRPC

__all__ = ["KafkaListener", "KafkaRPC"]
