"""Kafka's jars, in a cache that is filled once."""

import os
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import attrs

from sdml_kafka.testing.embedded.errors import StartCancelled

KAFKA_VERSION = "4.1.0"
_LOCK_POLL_S = 0.1


@attrs.frozen
class Jar:
    """A jar that Kafka needs, as it was published."""

    coordinate: str
    """`group:artifact:version` in Maven's repository."""
    sha256: str

    @property
    def filename(self) -> str:
        """The name of the jar's file."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


type Download = Callable[[list[Jar], Path, threading.Event], None]
"""Puts every jar into a folder, or raises; ends soon after the event is set."""


def pinned_jars() -> list[Jar]:
    """Return the jars that Kafka needs, with the hashes that they were published with."""
    lines = files(__package__).joinpath("kafka_jars.txt").read_text("utf-8").splitlines()
    return [Jar(*line.split()) for line in lines if line and not line.startswith("#")]


def default_cache() -> Path:
    """Return the folder below the user's cache folder that jars are kept in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sdml-kafka"


def kafka_jars(cache: Path, download: Download, cancelled: threading.Event) -> list[Path]:
    """Return the class path; download missing jars, once for all processes that ask."""
    jars = pinned_jars()
    home = cache / f"kafka-{KAFKA_VERSION}"
    if not _is_complete(home, jars):
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"kafka-{KAFKA_VERSION}.lock", cancelled):
            if not _is_complete(home, jars):
                _fill(home, jars, download, cancelled)
    return [home / jar.filename for jar in jars]


def _is_complete(home: Path, jars: list[Jar]) -> bool:
    try:
        present = set(os.listdir(home))
    except FileNotFoundError:
        return False
    return present.issuperset(jar.filename for jar in jars)


def _fill(home: Path, jars: list[Jar], download: Download, cancelled: threading.Event) -> None:
    """Fill another folder and rename it, so that `home` is complete or does not exist."""
    staging = home.with_name(f"{home.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        download(jars, staging, cancelled)
        shutil.rmtree(home, ignore_errors=True)  # it is that of another release of this package
        staging.rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _locked(path: Path, cancelled: threading.Event) -> Generator[None]:
    import fcntl  # Windows lacks it, and the package can be imported there all the same

    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled.wait(_LOCK_POLL_S):
                    raise StartCancelled("cancelled while another process downloads") from None
        yield
