"""A member of a group that is Kafka's own, in Java: its console consumer.

Kafka's tools are a jar of their own, which no broker needs; it is downloaded by the first test that
asks for it.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Literal

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.testing.embedded.download import JarDownload
from sdml_kafka.testing.embedded.jars import default_cache, kafka_jars
from sdml_kafka.testing.embedded.java import find_java
from sdml_kafka.testing.embedded.releases import Jar, Release, find_release

Protocol = Literal["consumer", "classic"]

TOOLS = {
    "4.1.0": ("1c2836cee57a947d2db461410ac5008ca80facbd19b7ed9d284ca883782ea741", "615926"),
    "4.4.0": ("4eb9a7fbfd63badfd8d1a677aa2d54b47b2b2d442ff7d68fd223972afea1954c", "751995"),
}
"""The SHA-256 and the bytes of each version's jar."""
EXIT_TIMEOUT_S = 20.0


class JavaMember:
    """A console consumer that runs; `seen` holds the texts that it has printed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.seen: list[str] = []
        self._process = process
        assert process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._thread.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self.seen.append(line.rstrip("\n"))

    def leave(self) -> None:
        """Let it commit and leave its group; block until it has ended."""
        self._process.terminate()
        self._process.wait(EXIT_TIMEOUT_S)
        self.wait_read()

    def wait_read(self) -> None:
        """Wait until all that it has printed is read."""
        self._thread.join(EXIT_TIMEOUT_S)


@contextmanager
def java_member(
    kafka: EmbeddedKafka, topic: str, group: str, protocol: Protocol
) -> Iterator[JavaMember]:
    """Run a member that reads a topic from its beginning on, and commits as it goes."""
    options = {
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
        "auto.commit.interval.ms": "500",
    }
    if protocol == "classic":
        options["heartbeat.interval.ms"] = "300"
    command = [str(find_java().executable), "-XX:TieredStopAtLevel=1", "-cp", _class_path()]
    command += ["org.apache.kafka.tools.consumer.ConsoleConsumer"]
    command += ["--bootstrap-server", kafka.bootstrap_servers, "--topic", topic, "--group", group]
    for name, value in options.items():
        command += ["--command-property", f"{name}={value}"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    member = JavaMember(process)
    try:
        yield member
    finally:
        process.kill()
        process.wait()
        member.wait_read()
        assert process.stdout is not None
        process.stdout.close()


def _class_path() -> str:
    release = find_release(None)
    sha256, size = TOOLS[release.version]
    tools = Jar(f"org.apache.kafka:kafka-tools:{release.version}", sha256, size)
    releases = release, Release(f"{release.version}-tools", (tools,))
    jars = [
        jar
        for each in releases
        for jar in kafka_jars(each, default_cache(), JarDownload(each, None), threading.Event())
    ]
    return os.pathsep.join(map(str, jars))
