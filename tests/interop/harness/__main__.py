"""Builds both services, or says what is missing: python -m tests.interop.harness."""

import sys
import time

from tests.interop.harness.building import COMMANDS, CannotBuild, built


def main() -> None:
    """Print where each service is, and how long its build has taken."""
    for service in COMMANDS:
        began = time.monotonic()
        try:
            home = built(service)
        except CannotBuild as error:
            sys.exit(str(error))
        print(f"{service}: {home.name} ({time.monotonic() - began:.1f} s)")


main()
