"""Runs a Kafka in the foreground until Ctrl-C."""

import signal
import time
from types import FrameType

from sdml_kafka.cli.broker.arguments import BrokerOptions
from sdml_kafka.cli.broker.port_owner import port_owner
from sdml_kafka.cli.options import BOOTSTRAP
from sdml_kafka.cli.terminal import complain, say

CHECK_EVERY_S = 0.5


def run_broker(options: BrokerOptions) -> int:
    """Run a Kafka until SIGINT or SIGTERM and return the exit code; port 0 takes free ports."""
    from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError

    nodes, port, version = options.nodes, options.port, options.version
    if port and (taken := _taken(range(port, port + nodes))):
        complain(f"broker: {taken}")
        return 1
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        say("starting Kafka ...")
        with EmbeddedKafka(nodes, version=version, port=port or None) as kafka:
            print(f"bootstrap servers: {kafka.bootstrap_servers}")
            print("Ctrl-C stops it and removes its data")
            print(f"in another terminal: export {BOOTSTRAP}={kafka.bootstrap_servers}", flush=True)
            while all(kafka.alive(node) for node in range(nodes)):
                time.sleep(CHECK_EVERY_S)
            complain("broker: a node of the Kafka has ended by itself or was killed")
            return 1
    except KeyboardInterrupt:
        return 0
    except EmbeddedKafkaError as error:
        complain(f"broker: {error}")
        return 1


def _taken(ports: range) -> str | None:
    """Return what to do about the first port that is not free, None if all of them are."""
    from sdml_kafka.testing.embedded.ports import is_free

    for port in ports:
        if not is_free(port):
            owner = port_owner(port) or "another program"
            return (
                f"port {port} on 127.0.0.1 is taken by {owner}: end it, give another --port, or "
                "take a free one with --port 0"
            )
    return None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not interrupt the clean-up after the first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
