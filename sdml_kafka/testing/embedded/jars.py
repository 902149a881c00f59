"""Kafka's jars, in a cache that is filled once."""

import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from sdml_kafka.testing.embedded.errors import StartCancelled
from sdml_kafka.testing.embedded.releases import Jar, Release

_LOCK_POLL_S = 0.1


type Download = Callable[[Path, threading.Event], None]
"""Puts every jar into a folder, or raises; ends soon after the event is set."""


def default_cache() -> Path:
    """Return the folder below the user's cache folder that jars are kept in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sdml-kafka"


def kafka_jars(
    release: Release, cache: Path, download: Download, cancelled: threading.Event
) -> list[Path]:
    """Return the class path; download missing jars, once for all processes that ask."""
    home = cache / f"kafka-{release.version}"
    if not _is_complete(home, release.jars):
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(home.with_name(f"{home.name}.lock"), cancelled):
            if not _is_complete(home, release.jars):
                _fill(home, download, cancelled)
    return [home / jar.filename for jar in release.jars]


def _is_complete(home: Path, jars: Iterable[Jar]) -> bool:
    try:
        present = set(os.listdir(home))
    except FileNotFoundError:
        return False
    return present.issuperset(jar.filename for jar in jars)


def _fill(home: Path, download: Download, cancelled: threading.Event) -> None:
    """Fill another folder and rename it, so that `home` is complete or does not exist."""
    staging = home.with_name(f"{home.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        download(staging, cancelled)
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
