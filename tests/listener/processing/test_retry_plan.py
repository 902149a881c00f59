"""The plan of retry topics, with any attempts that a record's headers may have."""

from hypothesis import example, given
from hypothesis import strategies as st

from sdml_kafka.listener.processing.policies import MAX_ATTEMPTS, Retry, RetryTopics, Suffix
from sdml_kafka.listener.processing.retrying.plan import RetryPlan


def plan_of(policy: RetryTopics) -> RetryPlan:
    return RetryPlan(policy, ["a", "b"], ["a", "b"], lambda: 0.0)


@given(
    suffix=st.sampled_from(["delay", "index", "none"]),
    count=st.integers(1, 9),
    in_place=st.sampled_from([1, 2, 7, MAX_ATTEMPTS - 9]),
    ahead=st.integers(-9, 99),
)
@example(suffix="none", count=1, in_place=7, ahead=-9)
def test_a_record_leaves_the_retry_topics_whatever_its_attempt(
    suffix: Suffix, count: int, in_place: int, ahead: int
) -> None:
    delays = [1.0 if suffix == "none" else 1.0 + number for number in range(count)]
    policy = RetryTopics(*delays, suffix=suffix, first=Retry(attempts=in_place))
    plan, topics = plan_of(policy), [policy.topic("a", 0)]
    attempt = first_attempt = min(max(1, in_place + 1 + ahead), MAX_ATTEMPTS)
    while (step := plan.next_step(topics[-1], attempt)) is not None:
        topics.append(step[0])
        attempt = min(attempt + 1, MAX_ATTEMPTS)
        assert len(topics) <= count + 9
    if suffix == "none":
        assert len(topics) == max(1, in_place + count + 1 - first_attempt)
    else:
        assert topics == [policy.topic("a", number) for number in range(count)]
    assert {plan.first_topic(each) for each in topics} == {"a"}


@given(suffix=st.sampled_from(["delay", "index", "none"]), in_place=st.integers(1, 9))
def test_what_was_tried_in_place_goes_through_every_delay(suffix: Suffix, in_place: int) -> None:
    delays = [2.0, 2.0, 2.0] if suffix == "none" else [2.0, 1.0, 3.0]
    policy = RetryTopics(*delays, suffix=suffix, first=Retry(attempts=in_place))
    plan, topic, attempt, seen = plan_of(policy), "b", in_place, list[float]()
    while (step := plan.next_step(topic, attempt)) is not None:
        topic, delay_s = step
        seen.append(delay_s)
        attempt += 1
    assert seen == delays
