"""What is paused: the later call decides, whether it names a topic or a partition."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.moving.pauses import Pauses
from sdml_kafka.transport.interfaces.records import TopicPartition

KEYS = [TopicPartition(topic, number) for topic in "ab" for number in range(3)]
PLAIN = [tuple(key) for key in KEYS]


@given(st.lists(st.tuples(st.sampled_from([*KEYS, *PLAIN, "a", "b"]), st.booleans())))
def test_the_later_call_decides(calls: list[tuple[Any, bool]]) -> None:
    pauses, expected = Pauses(), dict.fromkeys(KEYS, False)
    for what, paused in calls:
        pauses.set(what, paused=paused)
        expected.update((key, paused) for key in KEYS if what in (key, key.topic))
    assert {key: key in pauses for key in KEYS} == expected
