"""The main tests of listener and calls pass inside of a loop of trio-asyncio."""

from pathlib import Path

import pytest

from tests.support.run_in_trio_asyncio import run_in_trio_asyncio

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]

TESTS = Path(__file__).parents[1]
BY_HAND = (
    "join_and_leave or pause_outlives or refuses_cost or inherit or by_mistake or have_left or old"
    " or over_a_restart or forgotten"
)
"""What takes long and is the same inside of any loop once a member, a call and an outage are."""


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(f"not librdkafka and not ({BY_HAND})", id="core"),
        pytest.param(f"not librdkafka and ({BY_HAND})", id="rest", marks=pytest.mark.soak),
        pytest.param("librdkafka and not many_members and not 00", marks=pytest.mark.soak),
    ],
)
def test_the_main_tests_pass_in_its_loop(which: str) -> None:
    files = sorted(str(each) for each in TESTS.rglob("test_*_on_broker.py") if _has_some(each))
    run_in_trio_asyncio("-m", "trio_asyncio_too", "-k", which, *files, timeout_s=800)


def _has_some(file: Path) -> bool:
    # Reading is faster than having pytest collect all tests.
    return "mark.trio_asyncio_too" in file.read_text()
