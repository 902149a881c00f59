import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.demo.calls import CallBook
from sdml_kafka.cli.demo.closing import Closing
from sdml_kafka.cli.demo.closing import close_books as close_all_books
from sdml_kafka.cli.demo.ledger import Cause, Disturbance, Finish, Holder, Ledger, Place


def finish(member: str = "ada", assignment: int = 1, at_s: float = 1.0, offset: int = 0) -> Finish:
    return Finish(Place(0, offset), Holder(member, assignment), at_s)


def close_books(ledger: Ledger, *, cut_short: bool) -> Closing:
    """With calls that are in order."""
    book = CallBook()
    book.made()
    book.replied("q", b"a", b"a")
    return close_all_books(ledger, book, cut_short=cut_short)


def test_sent_and_finished_once_is_balanced() -> None:
    ledger = Ledger()
    ledger.sent("a")
    assert not ledger.is_settled()
    ledger.finished("a", finish())
    assert ledger.is_settled()
    closing = close_books(ledger, cut_short=False)
    assert closing.is_good
    assert closing.verdict == "balanced: nothing lost, nothing repeated, every call settled"
    assert closing.evidence == ()


def test_finished_before_its_acknowledgement_came() -> None:
    ledger = Ledger()
    ledger.finished("a", finish())
    ledger.finished("never acknowledged", finish())
    ledger.sent("a")
    balance = ledger.balance()
    assert (balance.sent, balance.finished, balance.unacknowledged) == (1, 1, 1)
    assert balance.holds


def test_lost() -> None:
    ledger = Ledger()
    ledger.sent("a")
    ledger.finished("b", finish())
    assert not ledger.is_settled()
    closing = close_books(ledger, cut_short=False)
    assert not closing.is_good
    assert ("lost", 1) in closing.entries
    assert closing.evidence == ("lost: a",)


def test_cut_short_is_no_verdict_on_what_is_still_on_its_way() -> None:
    ledger = Ledger()
    ledger.sent("a")
    closing = close_books(ledger, cut_short=True)
    assert not closing.is_good
    assert "1 records and 0 calls still on their way" in closing.verdict
    assert ("not finished yet", 1) in closing.entries


def test_nothing_sent_proves_nothing() -> None:
    assert not close_books(Ledger(), cut_short=False).is_good


CRASH = Disturbance(Cause.CRASH, "ada", 2.0, 2.0)
OUTAGE = Disturbance(Cause.BROKER, None, 2.0)


@pytest.mark.parametrize(
    ("disturbances", "again", "cause"),
    [
        ([], finish(assignment=2, at_s=3.0), Cause.REBALANCE),
        ([], finish("bob", at_s=3.0), Cause.REBALANCE),
        ([], finish(at_s=3.0), Cause.UNEXPLAINED),
        ([CRASH, OUTAGE], finish(at_s=3.0), Cause.UNEXPLAINED),
        ([CRASH], finish("bob", at_s=3.0), Cause.CRASH),
        ([CRASH], finish("bob", at_s=1.5), Cause.REBALANCE),
        ([OUTAGE], finish("bob", at_s=9.0), Cause.BROKER),
        ([], finish("bob", at_s=3.0, offset=1), Cause.WRITTEN_TWICE),
    ],
)
def test_why_it_came_twice(disturbances: list[Disturbance], again: Finish, cause: Cause) -> None:
    ledger = Ledger()
    ledger.sent("a")
    for disturbance in disturbances:
        ledger.disturbed(disturbance)
    ledger.finished("a", finish())
    ledger.finished("a", again)
    assert [repeat.cause for repeat in ledger.repeats] == [cause]
    closing = close_books(ledger, cut_short=False)
    assert closing.is_good is (cause is not Cause.UNEXPLAINED)
    assert [line.split(":")[0] for line in closing.evidence] == [cause]


def test_another_members_crash_explains_nothing() -> None:
    ledger = Ledger()
    ledger.disturbed(CRASH)
    ledger.finished("a", finish("bob"))
    ledger.finished("a", finish("ada", at_s=3.0))
    assert ledger.repeats[0].cause is Cause.REBALANCE


@given(st.sets(st.text()), st.lists(st.text()))
def test_it_counts_like_sets_do(sent: set[str], finished: list[str]) -> None:
    ledger = Ledger()
    for order in sent:
        ledger.sent(order)
    for order in finished:
        ledger.finished(order, finish())
    balance = ledger.balance()
    assert balance.sent == len(sent) == ledger.sent_count
    assert balance.finished == len(sent & set(finished))
    assert balance.lost == len(sent - set(finished))
    assert balance.unacknowledged == len(set(finished) - sent)
    assert sum(balance.repeats.values()) == len(finished) - len(set(finished))
    assert ledger.is_settled() == (balance.lost == 0)
