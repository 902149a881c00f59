"""Downloading jars, without a network."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from sdml_kafka.testing import KafkaDownloadError
from sdml_kafka.testing.embedded.download import JarDownload
from sdml_kafka.testing.embedded.errors import StartCancelled
from sdml_kafka.testing.embedded.jars import kafka_jars
from sdml_kafka.testing.embedded.releases import Jar, Release, find_release

RELEASE = find_release("4.4.0")


def quiet(_text: str) -> None: ...


def test_offline_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = pytest.importorskip("requests")

    def unreachable(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "request", unreachable)
    download = JarDownload(RELEASE, quiet)
    with pytest.raises(KafkaDownloadError, match=r"no route to host.*HTTPS_PROXY.*mirror"):
        kafka_jars(RELEASE, tmp_path, download, threading.Event())


def test_a_jar_with_other_contents_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "a-1.jar"
    other.write_bytes(b"other")
    resolved = tmp_path / "resolved"

    class Artifact:
        cached_path = resolved

        def resolve(self) -> Path:
            return other

    class Context:
        def create_dependency(self, _coordinate: str) -> Any:
            return type("Dependency", (), {"artifact": Artifact()})

    monkeypatch.setattr("sdml_kafka.testing.embedded.download._maven_context", lambda *_: Context())
    jar = Jar("g:a:1", hashlib.sha256(b"published").hexdigest(), 9)
    with pytest.raises(
        KafkaDownloadError,
        match=r"a-1\.jar came with other contents than that of Apache Kafka 1\.0\.0",
    ):
        JarDownload(Release("1.0.0", (jar,)), quiet)(tmp_path, threading.Event())


def test_a_cancelled_download_ends(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StartCancelled):
        kafka_jars(RELEASE, tmp_path, JarDownload(RELEASE, quiet), cancelled)


def test_without_jgo_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdml_kafka.testing.embedded.download.find_spec", lambda _name: None)
    with pytest.raises(KafkaDownloadError, match=r'pip install "sdml-kafka-client\[embedded\]"'):
        kafka_jars(RELEASE, tmp_path, JarDownload(RELEASE, quiet), threading.Event())
