"""What is made before a fork is entered after it; what was entered before it says so."""

import sys

import pytest

from tests.support.forking import WORKERS, run_forking

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork"),
    pytest.mark.parametrize("backend", ["asyncio", "trio"]),
    pytest.mark.timeout(90),
]

SAID = "EnteredBeforeFork"


@pytest.mark.parametrize(
    "program",
    ["made_with_own_topic", "made_with_own_partition", "by_multiprocessing"],
)
def test_what_makes_a_client_unique_is_drawn_in_the_process_that_enters_it(
    backend: str, program: str
) -> None:
    identities = run_forking(program, backend)
    assert len(identities) == WORKERS
    for drawn in zip(*identities, strict=True):
        assert len(set(drawn)) == WORKERS, drawn


@pytest.mark.parametrize("program", ["entered_client", "entered_listener", "entered_server"])
def test_what_was_entered_before_the_fork_says_so_at_once(backend: str, program: str) -> None:
    (said,) = run_forking(program, backend)
    assert said == [SAID] * len(said)
    assert len(said) > 5


def test_what_was_left_before_the_fork_was_left(backend: str) -> None:
    assert run_forking("left_before", backend) == ["ClientClosed"]
