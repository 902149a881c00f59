"""Runs a Kafka in the foreground until Ctrl-C."""

import signal
import sys
import time
from types import FrameType

CHECK_EVERY_S = 0.5


def run_broker(nodes: int, port: int) -> int:
    """Run a Kafka until SIGINT or SIGTERM and return the exit code."""
    from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError

    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        print("starting Kafka ...", file=sys.stderr, flush=True)
        with EmbeddedKafka(nodes, port=port) as kafka:
            print(f"bootstrap servers: {kafka.bootstrap_servers}")
            print("Ctrl-C stops it and removes its data", flush=True)
            while all(kafka.alive(node) for node in range(nodes)):
                time.sleep(CHECK_EVERY_S)
            print("a node of the Kafka has ended by itself or was killed", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        return 0
    except EmbeddedKafkaError as error:
        print(f"sdml-kafka broker: {error}", file=sys.stderr)
        return 1


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not interrupt the clean-up after the first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
