"""The report at the end of the demo: what the books say, in words."""

from collections.abc import Iterator

from attrs import frozen

from sdml_kafka.cli.demo.books.bill_book import BillBook
from sdml_kafka.cli.demo.books.call_book import TIMED_OUT, CallBalance, CallBook
from sdml_kafka.cli.demo.books.causes import Cause
from sdml_kafka.cli.demo.books.record_book import Finish, RecordBalance, RecordBook
from sdml_kafka.plurals import counted

MAX_EVIDENCE = 5
"""The number of lost records that are listed, and of repeats, and of wrong replies."""


@frozen
class FinalReport:
    entries: tuple[tuple[str, int], ...]
    """Labels and their counts."""
    evidence: tuple[str, ...]
    """Some of the lost and repeated records and of the wrong replies, one line each."""
    verdict: str
    is_good: bool


def make_final_report(
    record_book: RecordBook, call_book: CallBook, bills: BillBook, *, cut_short: bool
) -> FinalReport:
    """Return the report on what is in the books.

    With `cut_short` the demo ended early, so that records and calls may still be on their way.
    """
    records, calls = record_book.balance(), call_book.balance()
    unfinished = "not finished yet" if cut_short else "lost"
    unsettled = "not settled yet" if cut_short else "never settled"
    entries = (
        *_record_entries(records, unfinished),
        *_bill_entries(bills),
        *_call_entries(calls, unsettled),
    )
    if cut_short:
        both = counted(records.lost, "record"), counted(calls.made - calls.settled, "call")
        text = f"cut short, with {' and '.join(both)}"
        return FinalReport(entries, (), f"{text} still on their way", False)
    evidence = (
        *_evidence(record_book),
        *(f"wrong reply: {text}" for text in call_book.wrong[:MAX_EVIDENCE]),
    )
    is_good = records.holds and calls.holds and bills.holds
    return FinalReport(entries, evidence, _verdict(records, is_good), is_good)


def _record_entries(balance: RecordBalance, unfinished: str) -> Iterator[tuple[str, int]]:
    yield "sent: acknowledged by Kafka", balance.sent
    yield "finished: by the loops of a listener", balance.finished
    yield unfinished, balance.lost
    yield "repeated", sum(balance.repeats.values())
    for cause, count in balance.repeats.items():
        if count or cause is not Cause.WRITTEN_TWICE:
            yield f"  {cause.value}", count
    if balance.unacknowledged:
        yield "finished, but never acknowledged", balance.unacknowledged


def _bill_entries(bills: BillBook) -> Iterator[tuple[str, int]]:
    yield "bills sent", bills.sent
    yield "  handled, each customer's in order", len(bills.handled - bills.out_of_order)
    yield "  handled after a retry", len(bills.handled & bills.retried)
    yield "  dead letters", len(bills.dead_letters)
    yield "  sent anew, and paid", len(bills.replayed)
    if bills.out_of_order:
        yield "  out of order", len(bills.out_of_order)


def _call_entries(balance: CallBalance, unsettled: str) -> Iterator[tuple[str, int]]:
    yield "calls made", balance.made
    yield "calls settled", balance.settled
    if balance.made != balance.settled:
        yield unsettled, balance.made - balance.settled
    yield "  with a reply", balance.right + balance.wrong
    yield "  with the right reply", balance.right
    yield from _failures(balance)


def _failures(balance: CallBalance) -> Iterator[tuple[str, int]]:
    """Yield the calls without a reply by outcome and cause; timeouts are listed even if zero."""
    for cause in (Cause.BROKER, Cause.UNEXPLAINED):
        yield f"  timed out: {cause.value}", balance.failures.get((TIMED_OUT, cause), 0)
    for (outcome, cause), count in sorted(balance.failures.items()):
        if outcome != TIMED_OUT:
            yield f"  {outcome}: {cause.value}", count


def _verdict(records: RecordBalance, is_good: bool) -> str:
    if records.sent == 0:
        return "nothing was sent, so nothing was shown"
    if not is_good:
        return "NOT BALANCED: please report this, with all of the above"
    if any(records.repeats.values()):
        return "balanced: nothing lost, every repeat explained, every call settled"
    return "balanced: nothing lost, nothing repeated, every call settled"


def _evidence(book: RecordBook) -> Iterator[str]:
    for order in book.lost()[:MAX_EVIDENCE]:
        yield f"lost: {order}"
    # Unexplained repeats come first, so that the bound cannot hide them.
    repeats = sorted(book.repeats, key=lambda repeat: repeat.cause is not Cause.UNEXPLAINED)
    for repeat in repeats[:MAX_EVIDENCE]:
        first, again = repeat.first, repeat.again
        yield (
            f"{repeat.cause}: {repeat.order} of partition {first.place.partition} at offset "
            f"{first.place.offset}, {_by(first)}, then {_by(again)}"
        )


def _by(finish: Finish) -> str:
    holder = finish.holder
    return f"by {holder.member} in assignment {holder.assignment} at {finish.at_s:.2f} s"
