"""Runs tests in a process of their own, inside of a loop of trio-asyncio."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_in_trio_asyncio(*arguments: str, timeout_s: float) -> None:
    """Run pytest in a process of its own, with its tests inside of a loop of trio-asyncio."""
    plugin = ["-p", "tests.support.inside_trio_asyncio", "-n", "0", "-q"]
    command = [sys.executable, "-m", "pytest", *plugin, *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s)
    assert run.returncode == 0, run.stdout + run.stderr
