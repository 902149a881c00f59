"""Books of the demo that balance."""

from sdml_kafka.cli.demo.books.bill_book import BillBook
from sdml_kafka.cli.demo.books.call_book import CallBook
from sdml_kafka.cli.demo.books.record_book import Finish, Holder, Place, RecordBook


def finish(member: str = "ada", assignment: int = 1, at_s: float = 1.0, offset: int = 0) -> Finish:
    """Return the finish of a record of partition 0."""
    return Finish(Place(0, offset), Holder(member, assignment), at_s)


def balanced_record_book() -> RecordBook:
    """Return a book with one record that was sent and finished."""
    book = RecordBook()
    book.add_sent("a")
    book.add_finished("a", finish())
    return book


def balanced_bill_book() -> BillBook:
    """Return a book with a bill that was handled, and one that was paid as a dead letter."""
    book = BillBook()
    book.sent = 2
    for number in (1, 2):
        book.begin("ada", number, 1)
        book.end("ada")
    book.handled.add(1)
    book.dead_letters.add(2)
    book.replayed.add(2)
    return book


def balanced_call_book() -> CallBook:
    """Return a book with one call that got the right reply."""
    book = CallBook()
    book.add_call()
    book.add_reply("q", b"a", b"a")
    return book
