"""The plan of the demo."""

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.demo.arguments import MIN_DEMO_S
from sdml_kafka.cli.demo.plan import Act, make_plan


@given(st.floats(MIN_DEMO_S, 3600), st.booleans())
def test_everything_happens_in_order_and_in_time(seconds: float, owns_broker: bool) -> None:
    plan = make_plan(seconds, owns_broker=owns_broker)
    times = [step.at_s for step in plan.steps]
    assert times == sorted(times)
    assert times[0] >= 1.0
    assert times[-1] <= 0.75 * seconds
    acts = [step.act for step in plan.steps]
    assert acts[:5] == [
        Act.LISTENER_LEAVES,
        Act.SERVER_LEAVES,
        Act.LISTENER_RETURNS,
        Act.SERVER_RETURNS,
        Act.ACTOR_CRASHES,
    ]
    assert (Act.BROKER_RESTARTS in acts) is owns_broker


def test_what_comes_next() -> None:
    plan = make_plan(20.0, owns_broker=True)
    assert plan.next_step(0) == plan.steps[0]
    assert plan.next_step(len(plan.steps)) is None
