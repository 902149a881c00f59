"""Downloading Kafka's jars with jgo."""

import hashlib
import shutil
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sdml_kafka.testing.embedded.errors import KafkaDownloadError, StartCancelled
from sdml_kafka.testing.embedded.releases import Jar, Release

type Progress = Callable[[str], None]

_CONNECTIONS = 6
_ATTEMPTS = 3
_MB = 1 << 20


class JarDownload:
    """Fills a folder with the jars of a release, several at once, and reports its progress."""

    def __init__(self, release: Release, progress: Progress | None) -> None:
        """`progress` is called with lines of text; without it stderr shows them."""
        self._release = release
        self._progress = progress or TerminalProgress()
        self._lock = threading.Lock()
        self._received = 0
        self._has_failed = threading.Event()
        self._cancelled = threading.Event()

    def __call__(self, folder: Path, cancelled: threading.Event) -> None:
        """Download every jar into the folder; raise `StartCancelled` soon after the event."""
        self._cancelled = cancelled
        kafka = self._release.title
        repository = folder / "repository"
        context = _maven_context(kafka, repository, self._count_file)
        self._progress(f"{kafka}: downloading {self._release.megabytes} MB, once")
        try:
            with ThreadPoolExecutor(_CONNECTIONS) as pool:
                self._fetch_all(pool, context, folder)
            self._progress(f"{kafka}: downloaded")
        finally:
            if isinstance(self._progress, TerminalProgress):
                self._progress.close()
        shutil.rmtree(repository)

    def _fetch_all(self, pool: ThreadPoolExecutor, context: Any, folder: Path) -> None:
        fetches = [pool.submit(self._fetch, context, jar, folder) for jar in self._release.jars]
        try:
            for fetch in fetches:
                fetch.result()
        except BaseException as error:
            self._has_failed.set()
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KafkaDownloadError | StartCancelled):
                raise
            if isinstance(error, Exception):
                text = _download_failed(self._release.title, error, folder.parent)
                raise KafkaDownloadError(text) from error
            raise

    def _fetch(self, context: Any, jar: Jar, folder: Path) -> None:
        path = self._resolve(context.create_dependency(jar.coordinate).artifact)
        if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
            raise KafkaDownloadError(
                f"{jar.filename} came with other contents than that of {self._release.title} was "
                "published with, and was not used: look at the mirror or proxy that it came from"
            )
        path.rename(folder / jar.filename)

    def _resolve(self, artifact: Any) -> Path:
        attempt = 1
        while True:
            self._check_not_cancelled()
            try:
                return Path(artifact.resolve())
            except (OSError, RuntimeError):  # requests' errors are OSErrors
                # jgo would take whatever is there, half a file too, for the file.
                Path(artifact.cached_path).unlink(missing_ok=True)
                if attempt == _ATTEMPTS:
                    raise
            attempt += 1

    @contextmanager
    def _count_file(self, _name: str, _size: int) -> Generator[Callable[[int], None]]:
        yield self._count

    def _count(self, received: int) -> None:
        self._check_not_cancelled()
        with self._lock:
            before = self._received // _MB
            self._received += received
            now = self._received // _MB
            if now > before:
                kafka = self._release
                self._progress(f"{kafka.title}: {now} of {kafka.megabytes} MB")

    def _check_not_cancelled(self) -> None:
        if self._cancelled.is_set() or self._has_failed.is_set():
            raise StartCancelled("cancelled while Kafka was downloaded")


class TerminalProgress:
    """Progress on stderr: one line that changes on a terminal, a few lines elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._count = 0

    def __call__(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif self._count % 10 == 0 or not text.endswith(" MB"):
            print(text, file=sys.stderr, flush=True)
        self._count += 1

    def close(self) -> None:
        """End the line."""
        if self._terminal:
            print(file=sys.stderr, flush=True)


def _maven_context(kafka: str, repository: Path, progress: Any) -> Any:
    if find_spec("jgo") is None:
        raise KafkaDownloadError(
            f"{kafka} is not in {repository.parents[1]} yet, and jgo, which downloads it, is not "
            'installed: pip install "sdml-kafka-client[embedded]"'
        )
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    # A mirror that the user configured is asked first.
    repositories = {**GlobalSettings.load().repositories}
    repositories.setdefault("central", MAVEN_CENTRAL_URL)
    return MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=repository,
        remote_repos=repositories,
    )


def _download_failed(kafka: str, error: Exception, cache: Path) -> str:
    return (
        f"{kafka} could not be downloaded ({error}). It is needed once and kept in {cache}: "
        "try again when Maven Central can be reached; behind a proxy set HTTPS_PROXY; name a "
        "mirror under [repositories] in jgo's settings (~/.config/jgo.conf); or copy that folder "
        "from a machine that has it"
    )
