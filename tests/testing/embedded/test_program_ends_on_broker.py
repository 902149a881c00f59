"""However the program ends, its Kafka ends with it."""

from pathlib import Path

import psutil
import pytest

from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError
from tests.support.child_program import line_of, program
from tests.support.leftovers import jvms, leftovers, wait_until

pytestmark = pytest.mark.broker

END_S = 15.0
"""Seconds for the reaper to see the end (half a second) and for a JVM to go; fewer than the fork
below lives."""

HOLD = """
import sys
from sdml_kafka.testing import EmbeddedKafka
with EmbeddedKafka() as kafka:
    {then}
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    "then",
    ["kafka.freeze()", "import os, time; os.fork() or time.sleep(25)"],
    ids=["frozen", "forked"],
)
def test_a_killed_program_leaves_no_kafka(temp: Path, then: str) -> None:
    with program(HOLD.format(then=then), temp) as process:
        assert line_of(process) == "ready"
        assert len(jvms(temp)) == 1
        process.kill()
        wait_until(lambda: not leftovers(temp), within_s=END_S)


def test_killed_while_it_starts_it_leaves_no_kafka(temp: Path) -> None:
    with program(HOLD.format(then="pass"), temp) as process:
        wait_until(lambda: jvms(temp), within_s=60)
        process.kill()
        wait_until(lambda: not leftovers(temp), within_s=END_S)


def test_when_the_reaper_is_killed_the_nodes_go_and_the_error_says_so(temp: Path) -> None:
    with EmbeddedKafka() as kafka:
        reaper = psutil.Process(jvms(temp)[0]).parent()
        assert reaper is not None
        reaper.kill()
        wait_until(lambda: not jvms(temp), within_s=END_S)
        with pytest.raises(EmbeddedKafkaError, match="make a new one"):
            kafka.restart()
    assert leftovers(temp) == []
