"""The broker tests with a `group.initial.rebalance.delay.ms` that is not the embedded Kafka's 0.

By Kafka's own default a new group waits 3 s for more members before its first rebalance. The
variable `SDML_KAFKA_TEST_REBALANCE_DELAY_MS` sets the delay for every broker that tests start. Run
as a program, this module is `sdml-kafka`, for the commands that start a broker of their own.
"""

import os
import sys

from sdml_kafka.testing.embedded import config
from tests.support.command_line import PROGRAM

DELAY_MS = int(os.environ.get("SDML_KAFKA_TEST_REBALANCE_DELAY_MS", "0"))
DELAY_S = DELAY_MS / 1000
"""Seconds that a new group may take longer to have its first partitions."""

PROGRAM_WITH_A_BROKER = [sys.executable, "-m", __name__] if DELAY_MS else [PROGRAM]
"""The beginning of a command line of `sdml-kafka` that starts a broker."""


def set_rebalance_delay() -> None:
    """Let each Kafka that this process starts have the delay."""
    config.INITIAL_REBALANCE_DELAY_MS = DELAY_MS


if __name__ == "__main__":
    from sdml_kafka.cli.main import main

    set_rebalance_delay()
    sys.exit(main())
