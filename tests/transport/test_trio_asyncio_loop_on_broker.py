"""The main tests of listener and calls pass inside of a loop of trio-asyncio."""

import pytest

from tests.support.run_in_trio_asyncio import run_in_trio_asyncio

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    "which",
    [
        "not librdkafka",
        pytest.param("librdkafka and not many_members and not 00", marks=pytest.mark.soak),
    ],
)
def test_the_main_tests_pass_in_its_loop(which: str) -> None:
    run_in_trio_asyncio("-m", "trio_asyncio_too", "-k", which, timeout_s=800)
