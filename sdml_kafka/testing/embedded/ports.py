"""Free ports on 127.0.0.1."""

import random
import socket

from sdml_kafka.testing.embedded.config import NodePorts
from sdml_kafka.testing.embedded.errors import KafkaStartError

# These are below the ports that systems hand out to outgoing connections: a client that connects
# to the port of a killed node could be given that very port, and keep the node from coming back.
_RANGE = range(20000, 32000)
_PORTS_PER_NODE = 3


def is_free(port: int) -> bool:
    """Return whether a node could listen on this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # The JVM sets this as well, so that a port whose old connections linger counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(nodes: int, first_client_port: int | None) -> list[NodePorts]:
    """Return ports for each node.

    Another process may still take one of these ports before Kafka does.
    """
    fixed = _fixed_ports(nodes, first_client_port)
    needed = nodes * _PORTS_PER_NODE - len(fixed)
    free: list[int] = []
    for port in random.sample(_RANGE, len(_RANGE)):
        if len(free) == needed:
            break
        if port not in fixed and is_free(port):
            free.append(port)
    else:
        raise KafkaStartError(
            "no free port on 127.0.0.1 between 20000 and 32000: end a program that listens there"
        )
    clients = fixed or [free.pop() for _ in range(nodes)]
    return [NodePorts(client, free.pop(), free.pop()) for client in clients]


def _fixed_ports(nodes: int, first: int | None) -> list[int]:
    if first is None:
        return []
    ports = [first + number for number in range(nodes)]
    taken = [str(port) for port in ports if not is_free(port)]
    if taken:
        raise KafkaStartError(
            f"port {', '.join(taken)} on 127.0.0.1 is taken: end the program that listens there, "
            "give another `port`, or leave it out to get a free one"
        )
    return ports
