"""The rates that the demo shows."""

import pytest

from sdml_kafka.cli.demo.display.rate_meter import RateMeter


def test_a_meter_knows_the_rate_of_the_last_second() -> None:
    meter = RateMeter()
    assert meter.rate() == 0
    for tenth in range(51):
        meter.add(tenth / 10, tenth * 10 if tenth < 30 else 300)
        if tenth == 29:
            assert meter.rate() == pytest.approx(100)
    assert meter.rate() == 0
    assert meter.history()[:5] == pytest.approx([100] * 5)
    assert meter.history()[-1] == 0
