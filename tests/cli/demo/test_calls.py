"""The books of the demo's calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.demo.calls import RECOVERY_S, TIMED_OUT, CallBook, Latencies
from sdml_kafka.cli.demo.closing import close_books
from sdml_kafka.cli.demo.ledger import Cause, Finish, Holder, Ledger, Place


def ledger_in_order() -> Ledger:
    ledger = Ledger()
    ledger.sent("a")
    ledger.finished("a", Finish(Place(0, 0), Holder("ada", 1), 1.0))
    return ledger


def answered() -> CallBook:
    book = CallBook()
    book.made()
    book.replied("q", b"a", b"a")
    return book


def test_right_replies_balance() -> None:
    book = answered()
    assert book.balance().holds
    closing = close_books(ledger_in_order(), book, cut_short=False)
    assert closing.is_good
    assert ("calls made", 1) in closing.entries
    assert ("  with the right reply", 1) in closing.entries
    assert ("  timed out: unexplained", 0) in closing.entries


def test_no_calls_prove_nothing() -> None:
    assert not CallBook().balance().holds


def test_a_call_that_never_settles() -> None:
    book = answered()
    book.made()
    assert book.in_flight == 1
    closing = close_books(ledger_in_order(), book, cut_short=False)
    assert not closing.is_good
    assert ("never settled", 1) in closing.entries
    assert "NOT BALANCED" in closing.verdict


def test_cut_short_says_what_is_on_its_way() -> None:
    book = answered()
    book.made()
    closing = close_books(ledger_in_order(), book, cut_short=True)
    assert not closing.is_good
    assert closing.verdict == "cut short, with 0 records and 1 calls still on their way"
    assert ("not settled yet", 1) in closing.entries


def test_a_wrong_reply_is_shown() -> None:
    book = answered()
    book.made()
    book.replied("other", b"\x1b[31m", b"right")
    closing = close_books(ledger_in_order(), book, cut_short=False)
    assert not closing.is_good
    assert closing.evidence == ("wrong reply: to other came b'\\x1b[31m'",)


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
    book = answered()
    book.made()
    book.broker_is_down(10.0)
    book.broker_is_back(20.0)
    book.failed(TIMED_OUT, since_s, now_s)
    assert book.balance().failures == {(TIMED_OUT, cause): 1}
    assert book.balance().holds is (cause is Cause.BROKER)


def test_a_call_that_times_out_while_the_broker_is_away() -> None:
    book = CallBook()
    book.made()
    book.broker_is_down(10.0)
    book.failed(TIMED_OUT, 9.0, 14.0)
    assert book.balance().unexplained == 0


def test_another_error_is_named() -> None:
    book = answered()
    book.made()
    book.failed("ended with RemoteError", 1.0, 2.0)
    closing = close_books(ledger_in_order(), book, cut_short=False)
    assert ("  ended with RemoteError: unexplained", 1) in closing.entries
    assert not closing.is_good


def test_latencies_are_of_the_last_seconds() -> None:
    latencies = Latencies()
    assert latencies.quantiles_ms(0.0, 0.5, 0.99) == [None, None]
    for number in range(100):
        latencies.note(1.0, number / 1000)
    assert latencies.quantiles_ms(1.0, 0.5, 0.99) == pytest.approx([50.0, 99.0])
    latencies.note(8.0, 7.0)
    assert latencies.quantiles_ms(8.0, 0.5, 0.99) == pytest.approx([7000.0, 7000.0])


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 1))
def test_a_quantile_is_one_of_them(took: list[float], share: float) -> None:
    latencies = Latencies()
    for each in took:
        latencies.note(0.0, each)
    (shown,) = latencies.quantiles_ms(0.0, share)
    assert shown is not None
    assert shown / 1000 in [pytest.approx(each) for each in took]
