"""The fixture that programs get for their own tests."""

import os
import subprocess
import sys
from pathlib import Path


def run_pytest(folder: Path, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest in a process of its own on a test that wants the fixture."""
    (folder / "test_it.py").write_text("def test_it(embedded_kafka): ...")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder)],
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_kafka_that_cannot_start_fails_the_tests_that_want_it(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, XDG_CACHE_HOME=str(tmp_path), HTTPS_PROXY="http://127.0.0.1:9")
    assert "the embedded Kafka did not come up: " in result.stdout
    assert "try again when Maven Central can be reached" in result.stdout
    assert "skipped" not in result.stdout
    assert result.returncode == 1


def test_the_configuration_of_pytest_names_the_version(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, "-o", "embedded_kafka_version=3.9.0")
    assert "version is '3.9.0', and the embedded Kafka can be" in result.stdout
    assert result.returncode == 1


def test_the_environment_names_the_version(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, SDML_KAFKA_EMBEDDED_VERSION="4")
    assert "SDML_KAFKA_EMBEDDED_VERSION is '4', and the embedded Kafka can be" in result.stdout
    assert result.returncode == 1
