"""Write an archive of the classes that Kafka loads, from which JVMs start in half the time.

Run with `JDK_JAVA_OPTIONS=-XX:ArchiveClassesAtExit=FILE` and the same FILE as argument: a JVM
writes its archive as it ends, and overwrites none.
"""

import sys
import time
from pathlib import Path

import psutil

from sdml_kafka.testing import EmbeddedKafka

PATIENCE_S = 60.0
"""Seconds that Kafka may take to write its archive, more than `EmbeddedKafka.stop` waits."""


def main(archive: Path) -> None:
    with EmbeddedKafka() as kafka:
        archive.unlink(missing_ok=True)  # of the tool that formats the storage
        for each in psutil.Process().children(recursive=True):
            if each.name() == "java":
                each.terminate()
        deadline = time.monotonic() + PATIENCE_S
        while kafka.alive() and time.monotonic() < deadline:
            time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
