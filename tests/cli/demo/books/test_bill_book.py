"""The book of the demo's bills."""

from sdml_kafka.cli.demo.books.bill_book import BillBook
from tests.support.demo_books import balanced_bill_book


def begin_and_end(book: BillBook, *numbers: int) -> None:
    for number in numbers:
        book.begin("ada", number, 1)
        book.end("ada")


def test_what_is_handled_or_a_dead_letter_is_balanced() -> None:
    book = balanced_bill_book()
    assert book.holds
    book.sent += 1
    assert (book.missing, book.holds) == (1, False)


def test_what_is_both_is_not() -> None:
    book = balanced_bill_book()
    book.handled.add(2)
    assert not book.holds


def test_a_dead_letter_that_was_not_sent_anew_is_missing() -> None:
    book = balanced_bill_book()
    book.replayed.clear()
    assert (book.missing, book.holds) == (1, False)


def test_an_earlier_bill_of_a_customer_is_out_of_order() -> None:
    book = BillBook()
    begin_and_end(book, 3, 2)
    assert book.out_of_order == {2}


def test_bills_of_a_customer_side_by_side_are_out_of_order() -> None:
    book = BillBook()
    book.begin("ada", 1, 1)
    book.begin("bob", 3, 1)
    book.begin("ada", 2, 1)
    assert (book.out_of_order, book.most_at_once) == ({2}, 2)


def test_an_attempt_or_a_repeat_is_in_order() -> None:
    book = BillBook()
    begin_and_end(book, 1, 2, 1)
    book.begin("ada", 2, 2)
    assert (book.out_of_order, book.retried) == (set(), {2})
