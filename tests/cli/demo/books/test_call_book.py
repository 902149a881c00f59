"""The book of the demo's calls, and what the final report says about it."""

import pytest

from sdml_kafka.cli.demo.books.call_book import RECOVERY_S, TIMED_OUT, CallBook
from sdml_kafka.cli.demo.books.causes import Cause
from sdml_kafka.cli.demo.books.final_report import make_final_report
from tests.support.demo_books import balanced_bill_book, balanced_call_book, balanced_record_book


def test_right_replies_balance() -> None:
    book = balanced_call_book()
    assert book.balance().holds
    report = make_final_report(balanced_record_book(), book, balanced_bill_book(), cut_short=False)
    assert report.is_good
    assert ("calls made", 1) in report.entries
    assert ("  with the right reply", 1) in report.entries
    assert ("  timed out: unexplained", 0) in report.entries


def test_no_calls_prove_nothing() -> None:
    assert not CallBook().balance().holds


def test_a_call_that_never_settles() -> None:
    book = balanced_call_book()
    book.add_call()
    assert book.in_flight == 1
    report = make_final_report(balanced_record_book(), book, balanced_bill_book(), cut_short=False)
    assert not report.is_good
    assert ("never settled", 1) in report.entries
    assert "NOT BALANCED" in report.verdict


def test_cut_short_says_what_is_on_its_way() -> None:
    book = balanced_call_book()
    book.add_call()
    report = make_final_report(balanced_record_book(), book, balanced_bill_book(), cut_short=True)
    assert not report.is_good
    assert report.verdict == "cut short, with 0 records and 1 call still on their way"
    assert ("not settled yet", 1) in report.entries


def test_a_wrong_reply_is_shown() -> None:
    book = balanced_call_book()
    book.add_call()
    book.add_reply("other", b"\x1b[31m", b"right")
    report = make_final_report(balanced_record_book(), book, balanced_bill_book(), cut_short=False)
    assert not report.is_good
    assert report.evidence == ("wrong reply: to other came b'\\x1b[31m'",)


@pytest.mark.parametrize(
    ("since_s", "now_s", "cause"),
    [
        (1.0, 6.0, Cause.UNEXPLAINED),
        (9.0, 14.0, Cause.BROKER),
        (12.0, 17.0, Cause.BROKER),
        (20.0 + RECOVERY_S, 22.0 + RECOVERY_S, Cause.BROKER),
        (20.1 + RECOVERY_S, 22.0 + RECOVERY_S, Cause.UNEXPLAINED),
    ],
)
def test_why_a_call_timed_out(since_s: float, now_s: float, cause: Cause) -> None:
    book = balanced_call_book()
    book.add_call()
    book.broker_stopped(10.0)
    book.broker_returned(20.0)
    book.add_failure(TIMED_OUT, since_s, now_s)
    assert book.balance().failures == {(TIMED_OUT, cause): 1}
    assert book.balance().holds is (cause is Cause.BROKER)


def test_a_call_that_times_out_while_the_broker_is_away() -> None:
    book = CallBook()
    book.add_call()
    book.broker_stopped(10.0)
    book.add_failure(TIMED_OUT, 9.0, 14.0)
    assert book.balance().unexplained == 0


def test_another_error_is_named() -> None:
    book = balanced_call_book()
    book.add_call()
    book.add_failure("ended with RemoteError", 1.0, 2.0)
    report = make_final_report(balanced_record_book(), book, balanced_bill_book(), cut_short=False)
    assert ("  ended with RemoteError: unexplained", 1) in report.entries
    assert not report.is_good
