"""Where the former client had its classes."""

from sdml_kafka.listener import KafkaListener

__all__ = ["KafkaListener"]
