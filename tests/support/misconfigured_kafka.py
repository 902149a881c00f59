"""A Kafka with mistakes of an operator, which the embedded one does not make by itself."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.testing.embedded import node as embedded_node
from sdml_kafka.testing.embedded.cluster import Cluster
from sdml_kafka.testing.embedded.config import NodePorts, server_properties


@contextmanager
def misconfigured_kafka(
    advertised: Mapping[int, str], properties: Mapping[str, str], *, has_groups: bool = True
) -> Generator[EmbeddedKafka]:
    """Run a Kafka with one more listener for each of these ports.

    Args:
        advertised: For each port the address that a client is given there.
        properties: More broker properties.
        has_groups: Whether to wait for a group coordinator before the Kafka counts as started.
    """

    def configured(
        node: int, ports: Sequence[NodePorts], data: Path, overrides: Mapping[str, str]
    ) -> dict[str, str]:
        own = server_properties(node, ports, data, overrides)
        for number, (port, address) in enumerate(advertised.items()):
            own["listeners"] += f",EXTRA{number}://127.0.0.1:{port}"
            own["advertised.listeners"] += f",EXTRA{number}://{address}"
            own["listener.security.protocol.map"] += f",EXTRA{number}:PLAINTEXT"
        return own

    kafka = EmbeddedKafka(properties=properties)
    waits: AbstractContextManager[object] = nullcontext()
    if not has_groups:
        waits = patch.object(Cluster, "_find_unserved_group", return_value=None)
    # Other Kafkas that start meanwhile have listeners of their own.
    with patch.object(embedded_node, "server_properties", configured), waits:
        kafka.start()
    try:
        yield kafka
    finally:
        kafka.close()
