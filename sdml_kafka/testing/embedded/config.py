"""The configuration of a node, as pure functions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

OWNED = frozenset(
    {
        "node.id",
        "process.roles",
        "listeners",
        "advertised.listeners",
        "inter.broker.listener.name",
        "controller.listener.names",
        "controller.quorum.voters",
        "controller.quorum.bootstrap.servers",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
    }
)
"""The broker properties that say where a node lives, which the embedded Kafka sets itself."""

INITIAL_REBALANCE_DELAY_MS = 0
"""The milliseconds that a new group waits for more members: by Kafka's default 3,000, which would
make each test that long."""


@attrs.frozen
class NodePorts:
    """The ports of a node on 127.0.0.1, one for each of its listeners."""

    client: int
    internal: int
    controller: int


def check_properties(properties: Mapping[str, str]) -> None:
    """Raise `ValueError` or `TypeError` for properties that a user cannot set."""
    owned = sorted(OWNED & properties.keys())
    if owned:
        raise ValueError(
            f"the embedded Kafka sets {', '.join(owned)} itself: leave them out of `properties`, "
            "and give `nodes` and `port` instead"
        )
    for name, value in properties.items():
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"property {name} must be a str as in server.properties, not {value!r}")


def server_properties(
    node: int, ports: Sequence[NodePorts], data: Path, overrides: Mapping[str, str]
) -> dict[str, str]:
    """Return the properties of a node of a cluster, where `overrides` win.

    Nodes talk to each other, and are asked whether they are ready, over a listener of their own
    (INTERNAL), so that `listener.security.protocol.map` can put SASL or TLS on the listener for
    clients (PLAINTEXT).
    """
    own = ports[node]
    replicas = str(min(3, len(ports)))
    internal, client = f"INTERNAL://127.0.0.1:{own.internal}", f"PLAINTEXT://127.0.0.1:{own.client}"
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": ",".join(
            f"{number}@127.0.0.1:{each.controller}" for number, each in enumerate(ports)
        ),
        "listeners": f"{client},{internal},CONTROLLER://127.0.0.1:{own.controller}",
        "advertised.listeners": f"{client},{internal}",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "log.dirs": str(data),
        "num.partitions": "4",
        "default.replication.factor": replicas,
        "auto.create.topics.enable": "true",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        # A killed node can register again only when its old session is over (9 s by default).
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": str(INITIAL_REBALANCE_DELAY_MS),
        "group.min.session.timeout.ms": "500",
        # Members of the consumer protocol are given these, where classic ones bring their own. By
        # Kafka's defaults a killed member keeps its partitions for 45 s, a member hears of a
        # rebalance after up to 5 s, and a group has no second rebalance within one second
        # (findings/kafka-assignment-interval.sh).
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.session.timeout.ms": "500",
        "group.consumer.heartbeat.interval.ms": "300",
        "group.consumer.min.heartbeat.interval.ms": "50",
        "group.consumer.assignment.interval.ms": "0",
        **overrides,
    }


def as_properties_file(properties: Mapping[str, str]) -> str:
    """Return the text of a file that java.util.Properties reads."""
    return "".join(f"{_escaped(name)}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(text: str) -> str:
    """Escape a text as java.util.Properties reads it."""
    plain = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "=": "\\=", ":": "\\:"}
    escaped = "".join(
        plain.get(char, char if " " <= char <= "~" else _unicode_escapes(char)) for char in text
    )
    return "\\" + escaped if escaped[:1] in {" ", "#", "!"} else escaped


def _unicode_escapes(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


LOGGING = """\
status=off
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{HH:mm:ss.SSS} %-5p %m (%c{1})%n%throwable
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
"""
"""The log4j2 configuration: warnings and errors only, since more would slow the start down."""


def java_arguments(class_path: Sequence[Path], logging_file: Path) -> list[str]:
    """Return what stands between `java` and the main class."""
    return [
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx512m",
        f"-Dlog4j2.configurationFile={logging_file}",
        "-Dlog4j2.disableJmx=true",
        "-cp",
        ":".join(str(jar) for jar in class_path),
    ]
