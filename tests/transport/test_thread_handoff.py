"""Items on their way from one thread to another."""

from collections.abc import Callable

from sdml_kafka.transport.thread_handoff import ThreadHandoff


def test_what_comes_together_crosses_together_and_in_order() -> None:
    scheduled: list[Callable[[], object]] = []
    taken: list[int] = []
    handoff = ThreadHandoff[int](scheduled.append, taken.append)
    for number in range(3):
        handoff.put(number)
    assert len(scheduled) == 1
    scheduled.pop()()
    assert taken == [0, 1, 2]
    handoff.put(3)
    scheduled.pop()()
    assert taken == [0, 1, 2, 3]


def test_what_is_put_while_others_are_taken_crosses_next() -> None:
    scheduled: list[Callable[[], object]] = []
    taken: list[int] = []

    def take(number: int) -> None:
        taken.append(number)
        if number < 2:
            handoff.put(number + 1)

    handoff = ThreadHandoff[int](scheduled.append, take)
    handoff.put(0)
    for expected in ([0], [0, 1], [0, 1, 2]):
        (deliver,) = scheduled
        scheduled.clear()
        deliver()
        assert taken == expected
    assert not scheduled
