"""The cache of jars: filled once, by one process, completely or not at all."""

import threading
from pathlib import Path

import pytest

from sdml_kafka.testing.embedded.errors import StartCancelled
from sdml_kafka.testing.embedded.jars import kafka_jars
from sdml_kafka.testing.embedded.releases import find_release

RELEASE = find_release("4.4.0")


def fill(folder: Path, _cancelled: threading.Event) -> None:
    for jar in RELEASE.jars:
        (folder / jar.filename).touch()


def test_what_is_cached_is_not_downloaded_again(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("downloaded twice")

    first = kafka_jars(RELEASE, tmp_path, fill, threading.Event())
    assert kafka_jars(RELEASE, tmp_path, refuse, threading.Event()) == first
    assert all(jar.exists() for jar in first)


def test_each_version_has_a_folder_of_its_own(tmp_path: Path) -> None:
    older = find_release("4.1.0")

    def fill_older(folder: Path, _cancelled: threading.Event) -> None:
        for jar in older.jars:
            (folder / jar.filename).touch()

    newer = kafka_jars(RELEASE, tmp_path, fill, threading.Event())
    others = kafka_jars(older, tmp_path, fill_older, threading.Event())
    assert {jar.parent for jar in newer} == {tmp_path / "kafka-4.4.0"}
    assert {jar.parent for jar in others} == {tmp_path / "kafka-4.1.0"}
    assert all(jar.exists() for jar in newer)


def test_a_download_that_breaks_off_leaves_no_half_of_a_cache(tmp_path: Path) -> None:
    def break_off(folder: Path, _cancelled: threading.Event) -> None:
        (folder / RELEASE.jars[0].filename).touch()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        kafka_jars(RELEASE, tmp_path, break_off, threading.Event())
    assert [path.name for path in tmp_path.iterdir()] == ["kafka-4.4.0.lock"]


def test_those_who_ask_at_once_download_once(tmp_path: Path) -> None:
    downloads: list[int] = []
    both_ask = threading.Barrier(2)

    def counted(folder: Path, cancelled: threading.Event) -> None:
        downloads.append(1)
        fill(folder, cancelled)

    def ask() -> None:
        both_ask.wait(5)
        kafka_jars(RELEASE, tmp_path, counted, threading.Event())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert downloads == [1]


def test_waiting_for_the_download_of_another_process_can_be_cancelled(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()

    def ask_again(*_: object) -> None:
        with pytest.raises(StartCancelled):
            kafka_jars(RELEASE, tmp_path, fill, cancelled)

    def nested(folder: Path, event: threading.Event) -> None:
        ask_again()
        fill(folder, event)

    assert kafka_jars(RELEASE, tmp_path, nested, threading.Event())
