"""The book of the demo's records, and what the final report says about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.demo.books.causes import Cause
from sdml_kafka.cli.demo.books.final_report import FinalReport, make_final_report
from sdml_kafka.cli.demo.books.record_book import Disturbance, Finish, RecordBook
from tests.support.demo_books import balanced_bill_book, balanced_call_book, finish


def report_on(book: RecordBook, *, cut_short: bool = False) -> FinalReport:
    """Return the final report for these records and calls that balance."""
    return make_final_report(book, balanced_call_book(), balanced_bill_book(), cut_short=cut_short)


def test_sent_and_finished_once_is_balanced() -> None:
    book = RecordBook()
    book.add_sent("a")
    assert not book.is_settled()
    book.add_finished("a", finish())
    assert book.is_settled()
    report = report_on(book)
    assert report.is_good
    assert report.verdict == "balanced: nothing lost, nothing repeated, every call settled"
    assert report.evidence == ()


def test_finished_before_its_acknowledgement_came() -> None:
    book = RecordBook()
    book.add_finished("a", finish())
    book.add_finished("never acknowledged", finish())
    book.add_sent("a")
    balance = book.balance()
    assert (balance.sent, balance.finished, balance.unacknowledged) == (1, 1, 1)
    assert balance.holds


def test_lost() -> None:
    book = RecordBook()
    book.add_sent("a")
    book.add_finished("b", finish())
    assert not book.is_settled()
    report = report_on(book)
    assert not report.is_good
    assert ("lost", 1) in report.entries
    assert report.evidence == ("lost: a",)


def test_cut_short_is_no_verdict_on_what_is_still_on_its_way() -> None:
    book = RecordBook()
    book.add_sent("a")
    report = report_on(book, cut_short=True)
    assert not report.is_good
    assert "1 record and 0 calls still on their way" in report.verdict
    assert ("not finished yet", 1) in report.entries


def test_nothing_sent_proves_nothing() -> None:
    assert not report_on(RecordBook()).is_good


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
    book = RecordBook()
    book.add_sent("a")
    for disturbance in disturbances:
        book.add_disturbance(disturbance)
    book.add_finished("a", finish())
    book.add_finished("a", again)
    assert [repeat.cause for repeat in book.repeats] == [cause]
    report = report_on(book)
    assert report.is_good is (cause is not Cause.UNEXPLAINED)
    assert [line.split(":")[0] for line in report.evidence] == [cause]


def test_another_members_crash_explains_nothing() -> None:
    book = RecordBook()
    book.add_disturbance(CRASH)
    book.add_finished("a", finish("bob"))
    book.add_finished("a", finish("ada", at_s=3.0))
    assert book.repeats[0].cause is Cause.REBALANCE


@given(st.sets(st.text()), st.lists(st.text()))
def test_it_counts_like_sets_do(sent: set[str], finished: list[str]) -> None:
    book = RecordBook()
    for order in sent:
        book.add_sent(order)
    for order in finished:
        book.add_finished(order, finish())
    balance = book.balance()
    assert balance.sent == len(sent) == book.sent_count
    assert balance.finished == len(sent & set(finished))
    assert balance.lost == len(sent - set(finished))
    assert balance.unacknowledged == len(set(finished) - sent)
    assert sum(balance.repeats.values()) == len(finished) - len(set(finished))
    assert book.is_settled() == (balance.lost == 0)
