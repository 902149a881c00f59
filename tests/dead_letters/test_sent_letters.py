"""What a group's commits say of dead letters that were sent, some of them by themselves."""

import random

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.dead_letters.sent_letters import SentLetters
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit

PLACE = TopicPartition("orders-dlt", 0)
STEPS = st.lists(st.tuples(st.booleans(), st.integers(3, 40)), max_size=20)


@given(STEPS)
def test_each_commit_says_what_was_sent(steps: list[tuple[bool, int]]) -> None:
    """A step sends one by itself, or all up to one; the log begins at 3."""
    committed: Commit | None = None
    expected = set[int]()
    for is_alone, offset in steps:
        sent = SentLetters()  # as another run begins
        sent.remember({PLACE: committed})
        assert {each for each in range(3, 60) if sent.has(PLACE, each)} == expected
        if is_alone and not sent.has(PLACE, offset):
            committed = sent.with_one(PLACE, offset, 3)
            assert committed is not None
            expected.add(offset)
        elif not is_alone and offset >= (0 if committed is None else committed.offset):
            committed = sent.up_to(PLACE, offset + 1)
            expected.update(range(3, offset + 1))
        assert committed is None or committed.offset not in expected


def test_there_is_room_for_hundreds_of_them() -> None:
    sent, offsets = SentLetters(), sorted(random.Random(7).sample(range(1, 1 << 22), 4000))
    sent.remember({PLACE: Commit(0)})
    count = 0
    while (commit := sent.with_one(PLACE, offsets[count], 0)) is not None:
        sent.note(PLACE, commit)
        count += 1
    assert 300 < count < 4000
    assert all(sent.has(PLACE, each) for each in offsets[:count])
    assert not sent.has(PLACE, offsets[count])


def test_a_commit_of_others_is_no_reason_to_fail() -> None:
    sent = SentLetters()
    sent.remember({PLACE: Commit(5, "written by hand")})
    assert [sent.has(PLACE, each) for each in (4, 5)] == [True, False]


def test_commits_of_another_run_are_noticed() -> None:
    sent, other = SentLetters(), TopicPartition("orders-dlt", 1)
    commit = sent.with_one(PLACE, 7, 3)
    assert commit is not None
    sent.note(PLACE, commit)
    assert sent.agrees({PLACE: commit, other: None})
    assert not sent.agrees({PLACE: Commit(commit.offset), other: None})
    assert not sent.agrees({PLACE: commit, other: Commit(0)})
    assert not sent.agrees({PLACE: Commit(commit.offset + 1, commit.metadata), other: None})
