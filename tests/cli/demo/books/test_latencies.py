"""The latencies of the demo's calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.demo.books.latencies import Latencies


def test_latencies_are_of_the_last_seconds() -> None:
    latencies = Latencies()
    assert latencies.quantiles_ms(0.0, 0.5, 0.99) == [None, None]
    for number in range(100):
        latencies.add(1.0, number / 1000)
    assert latencies.quantiles_ms(1.0, 0.5, 0.99) == pytest.approx([50.0, 99.0])
    latencies.add(8.0, 7.0)
    assert latencies.quantiles_ms(8.0, 0.5, 0.99) == pytest.approx([7000.0, 7000.0])


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_quantile_is_one_of_them(took: list[float], share: float) -> None:
    latencies = Latencies()
    for each in took:
        latencies.add(0.0, each)
    (shown,) = latencies.quantiles_ms(0.0, share)
    assert shown is not None
    assert shown / 1000 in [pytest.approx(each) for each in took]
