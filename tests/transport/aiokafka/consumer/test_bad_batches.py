"""Finding the partition that does not decode: what is polled, and what is held in the end."""

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.aiokafka.consumer.bad_batches import BadBatches
from sdml_kafka.transport.interfaces.records import TopicPartition

PARTITIONS = [TopicPartition("topic", number) for number in range(5)]


@given(
    broken=st.sets(st.sampled_from(PARTITIONS)),
    ready_at=st.lists(st.sets(st.sampled_from(PARTITIONS)), max_size=20),
)
def test_those_that_do_not_decode_are_held_and_no_others(
    broken: set[TopicPartition], ready_at: list[set[TopicPartition]]
) -> None:
    bad_batches = BadBatches()
    # In the end all are ready, for long enough.
    for ready in (*ready_at, *([set(PARTITIONS)] * 40)):
        asked, most = bad_batches.narrow(sorted(ready), 500)
        assert set(asked) <= ready
        assert not set(asked) & bad_batches.held().keys()
        if broken & set(asked):
            bad_batches.raised(ValueError("broken"), PARTITIONS)
        else:
            bad_batches.delivered({} if most == 1 else dict.fromkeys(asked, ()))
    assert bad_batches.held().keys() == broken


def test_good_records_before_the_broken_one_are_read_one_by_one() -> None:
    (bad, good, *_) = PARTITIONS
    bad_batches = BadBatches()
    bad_batches.raised(ValueError("of one of them"), [bad, good])
    assert bad_batches.is_active
    assert bad_batches.narrow([bad, good], 500) == ([bad], 500)
    bad_batches.raised(ValueError("of this one"), [bad, good])
    for _ in range(3):
        assert bad_batches.narrow([bad], 500) == ([bad], 1)
        bad_batches.delivered({bad: ["a record"]})
    assert bad_batches.narrow([bad], 500) == ([bad], 1)
    bad_batches.raised(ValueError("at the broken one"), [bad, good])
    assert bad_batches.held() == {bad: "ValueError: at the broken one"}
    assert bad_batches.narrow([bad, good], 500) == ([good], 500)


def test_a_poll_that_was_ended_early_says_nothing_about_the_partition_that_it_asked() -> None:
    bad_batches = BadBatches()
    bad_batches.raised(ValueError("of one of them"), PARTITIONS[:1])
    bad_batches.narrow(PARTITIONS[:1], 500)  # and a nudge ends the poll
    assert bad_batches.narrow(PARTITIONS[:1], 500) == (PARTITIONS[:1], 500)
    bad_batches.delivered({})
    assert not bad_batches.is_active
