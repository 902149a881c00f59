"""The fixture that programs get for their own tests."""

import os
import subprocess
import sys
from pathlib import Path


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
