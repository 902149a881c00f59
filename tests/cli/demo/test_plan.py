import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.arguments import MIN_DEMO_S
from sdml_kafka.cli.demo.plan import Act, make_plan
from sdml_kafka.cli.demo.scene import Meter


@given(st.floats(MIN_DEMO_S, 3600), st.booleans())
def test_everything_happens_in_order_and_in_time(seconds: float, owns_broker: bool) -> None:
    plan = make_plan(seconds, owns_broker=owns_broker)
    times = [step.at_s for step in plan.steps]
    assert times == sorted(times)
    assert times[0] >= 1.0
    assert times[-1] <= 0.75 * seconds
    acts = [step.act for step in plan.steps]
    assert acts[:5] == [
        Act.LEAVE,
        Act.SERVER_LEAVE,
        Act.RETURN,
        Act.SERVER_RETURN,
        Act.CRASH,
    ]
    assert (Act.RESTART_BROKER in acts) is owns_broker


def test_what_comes_next() -> None:
    plan = make_plan(20.0, owns_broker=True)
    assert plan.next_step(0) == plan.steps[0]
    assert plan.next_step(len(plan.steps)) is None


def test_a_meter_knows_the_rate_of_the_last_second() -> None:
    meter = Meter()
    assert meter.rate() == 0
    for tenth in range(51):
        meter.note(tenth / 10, tenth * 10 if tenth < 30 else 300)
        if tenth == 29:
            assert meter.rate() == pytest.approx(100)
    assert meter.rate() == 0
    assert meter.history()[:5] == pytest.approx([100] * 5)
    assert meter.history()[-1] == 0
