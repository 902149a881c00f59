"""Builds both services, or says what is missing: python -m tests.interop.harness."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.interop.harness.building import COMMANDS, CannotBuild, built


def build(service: str) -> str:
    """Return where a service is, and how long its build has taken, or why there is none."""
    began = time.monotonic()
    home = built(service)
    return f"{service}: {home.name} ({time.monotonic() - began:.1f} s)"


def main() -> None:
    """Build both at once, since each of them waits for its registry most of the time."""
    with ThreadPoolExecutor() as threads:
        try:
            print("\n".join(threads.map(build, COMMANDS)))
        except CannotBuild as error:
            sys.exit(str(error))


main()
