"""When records are held back, and which producer sends them. Time is the test's own."""

from typing import Any

import pytest

from sdml_kafka.transport.librdkafka.producer import rounds
from sdml_kafka.transport.librdkafka.producer.rounds import (
    BUSY_S,
    FREE_S,
    LONG_PATIENCE_S,
    MOST_ALONE,
    MOST_HELD,
    OPEN_S,
    PATIENCE_S,
    Rounds,
)

SETTINGS = {"linger.ms": 0, "enable.idempotence": True}


class OneProducer:
    """Stands for a producer of librdkafka with so many records on their way."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.linger_ms = settings["linger.ms"]
        self.under_way = 0
        self.reports_all = False
        self.unasked = 0

    def outstanding(self) -> int:
        return self.under_way


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr(rounds, "monotonic", lambda: clock[0])
    return clock


def made(**settings: Any) -> Rounds:
    make: Any = OneProducer
    return Rounds(make, {**SETTINGS, **settings})


def under_way(which: Rounds, count: int) -> OneProducer:
    producer: Any = which.current
    producer.under_way = count
    assert isinstance(producer, OneProducer)
    return producer


def test_a_round_goes_together_once_nothing_is_on_its_way(now: list[float]) -> None:
    own = made()
    alone = under_way(own, MOST_ALONE)
    assert own.most == MOST_ALONE
    assert own.begin()
    assert alone.reports_all
    assert not own.may_end(20)
    under_way(own, 0)
    assert own.may_end(20)
    together = under_way(own, 20)
    assert together.linger_ms == rounds.LINGER_MS
    own.end()
    assert alone.reports_all
    assert together.reports_all  # so that the end of the round is seen
    under_way(own, 0)
    assert own.may_end(0)
    own.end()
    assert under_way(own, 0) is alone
    assert not alone.reports_all
    assert not together.reports_all


def test_few_that_were_held_back_go_at_once(now: list[float]) -> None:
    own = made()
    alone = under_way(own, MOST_ALONE)
    assert own.begin()
    under_way(own, 0)
    assert own.may_end(MOST_ALONE)
    assert under_way(own, 0) is alone
    assert len(own.clients) == 1


def test_the_end_of_a_round_that_nobody_would_report_is_not_waited_for(now: list[float]) -> None:
    own = made()
    under_way(own, 1)
    assert not own.begin()


def test_many_go_while_others_are_on_their_way(now: list[float]) -> None:
    own = made()
    alone = under_way(own, MOST_ALONE)
    assert own.begin()
    assert own.may_end(MOST_HELD)
    assert under_way(own, MOST_HELD) is alone
    assert own.most == MOST_ALONE


def test_an_answer_that_takes_long_holds_up_nothing_for_a_while(now: list[float]) -> None:
    own = made()
    alone = under_way(own, MOST_ALONE)
    assert own.begin()
    under_way(own, MOST_ALONE - 1)  # so that one is slower than another
    now[0] += PATIENCE_S
    assert own.may_end(1)
    own.end()
    assert own.most > MOST_HELD
    assert alone.reports_all  # so that the end of this is seen
    assert not own.may_end(0)
    now[0] += FREE_S
    assert not own.may_end(0)
    assert own.most == MOST_ALONE


def test_where_nothing_is_answered_records_wait_longer(now: list[float]) -> None:
    own = made()
    under_way(own, MOST_ALONE)
    assert own.begin()
    now[0] += PATIENCE_S
    assert not own.may_end(1)
    now[0] += LONG_PATIENCE_S - PATIENCE_S
    assert own.may_end(1)
    own.end()
    assert own.most > MOST_HELD
    under_way(own, 0)
    assert own.may_end(1)
    assert own.most == MOST_ALONE  # all has been answered


def test_rounds_of_many_that_follow_each_other_are_busy(now: list[float]) -> None:
    own = made()
    assert own.may_end(20)
    assert not own.is_busy
    assert own.may_end(20)
    own.end()
    assert own.is_busy
    assert under_way(own, 20).reports_all  # a report for each would be waited for in the thread
    under_way(own, 0)
    assert own.may_end(MOST_ALONE)
    assert own.is_busy
    assert under_way(own, MOST_ALONE).linger_ms == rounds.LINGER_MS  # not ahead of the next ones
    now[0] += BUSY_S
    under_way(own, 0)
    assert own.may_end(MOST_ALONE)
    assert not own.is_busy
    assert under_way(own, 0).linger_ms == 0


def test_what_comes_soon_joins_the_round_before_it_while_there_is_much(now: list[float]) -> None:
    own = made()
    for _ in range(2):
        under_way(own, 0)
        assert own.may_end(20)
        assert own.is_new
        under_way(own, 20)
    assert own.begin()
    now[0] += OPEN_S / 2
    assert own.may_end(1)
    assert not own.is_new
    now[0] += OPEN_S / 2
    assert not own.may_end(1)
    under_way(own, 0)
    assert own.may_end(1)
    assert own.is_new


def test_nothing_joins_a_round_that_stands_alone(now: list[float]) -> None:
    own = made()
    assert own.may_end(20)
    under_way(own, 20)
    assert not own.is_busy
    assert own.begin()
    assert not own.may_end(1)


def test_the_end_of_what_lingers_is_seen(now: list[float]) -> None:
    """Otherwise a call that is alone would go by the producer that waits for others."""
    own = made()
    assert own.may_end(20)
    together = under_way(own, 20)
    own.end()
    assert together.reports_all
    under_way(own, 0)
    assert own.may_end(0)
    own.end()
    assert under_way(own, 0).linger_ms == 0
    assert not together.reports_all


def test_what_was_busy_is_so_no_longer_once_nothing_comes(now: list[float]) -> None:
    own = made()
    for _ in range(2):
        assert own.may_end(20)
    assert own.is_busy
    now[0] += BUSY_S
    assert own.may_end(0)
    own.end()
    assert not own.is_busy
    assert not under_way(own, 0).reports_all


@pytest.mark.parametrize("name", ["linger.ms", "queue.buffering.max.ms"])
def test_whoever_chose_to_linger_or_wants_no_idempotence_has_no_rounds(name: str) -> None:
    own = made(**{name: 5})
    assert own.most > MOST_HELD
    assert own.may_end(20)
    assert own.may_end(20)
    assert not own.is_busy
    assert made(**{"enable.idempotence": False}).most > MOST_HELD
