"""The books at the end, in words. Pure."""

from collections.abc import Iterator

from attrs import frozen

from sdml_kafka.cli.demo.calls import TIMED_OUT, CallBalance, CallBook
from sdml_kafka.cli.demo.ledger import Balance, Cause, Finish, Ledger

EVIDENCE = 5
"""How many of the lost records, and of the repeated ones, are shown one by one."""


@frozen
class Closing:
    entries: tuple[tuple[str, int], ...]
    evidence: tuple[str, ...]
    """Records that were lost or repeated, and wrong replies, some of them."""
    verdict: str
    is_good: bool


def close_books(ledger: Ledger, book: CallBook, *, cut_short: bool) -> Closing:
    """`cut_short`: the demo did not come to its end, so that some records and calls are still on
    the way."""
    records, calls = ledger.balance(), book.balance()
    unfinished, unsettled = (
        ("not finished yet", "not settled yet")
        if cut_short
        else (
            "lost",
            "never settled",
        )
    )
    entries = (*_entries(records, unfinished), *_call_entries(calls, unsettled))
    if cut_short:
        text = f"cut short, with {records.lost:,} records and {calls.made - calls.settled:,} calls"
        return Closing(entries, (), f"{text} still on their way", False)
    evidence = (*_evidence(ledger), *(f"wrong reply: {text}" for text in book.wrong[:EVIDENCE]))
    return Closing(entries, evidence, _verdict(records, calls), records.holds and calls.holds)


def _entries(balance: Balance, unfinished: str) -> Iterator[tuple[str, int]]:
    yield "sent: acknowledged by Kafka", balance.sent
    yield "finished: by the loops of a listener", balance.finished
    yield unfinished, balance.lost
    yield "repeated", sum(balance.repeats.values())
    for cause, count in balance.repeats.items():
        if count or cause is not Cause.WRITTEN_TWICE:
            yield f"  {cause.value}", count
    if balance.unacknowledged:
        yield "finished, but never acknowledged", balance.unacknowledged


def _call_entries(balance: CallBalance, unsettled: str) -> Iterator[tuple[str, int]]:
    yield "calls made", balance.made
    yield "calls settled", balance.settled
    if balance.made != balance.settled:
        yield unsettled, balance.made - balance.settled
    yield "  with a reply", balance.right + balance.wrong
    yield "  with the right reply", balance.right
    yield from _failures(balance)


def _failures(balance: CallBalance) -> Iterator[tuple[str, int]]:
    """Those of a kind together; time-outs are named even when there were none."""
    for cause in (Cause.BROKER, Cause.UNEXPLAINED):
        yield f"  timed out: {cause.value}", balance.failures.get((TIMED_OUT, cause), 0)
    for (outcome, cause), count in sorted(balance.failures.items()):
        if outcome != TIMED_OUT:
            yield f"  {outcome}: {cause.value}", count


def _verdict(records: Balance, calls: CallBalance) -> str:
    if records.sent == 0:
        return "nothing was sent, so nothing was shown"
    if not records.holds or not calls.holds:
        return "NOT BALANCED: please report this, with all of the above"
    if any(records.repeats.values()):
        return "balanced: nothing lost, every repeat explained, every call settled"
    return "balanced: nothing lost, nothing repeated, every call settled"


def _evidence(ledger: Ledger) -> Iterator[str]:
    for order in ledger.lost()[:EVIDENCE]:
        yield f"lost: {order}"
    # Those that nothing explains come first.
    repeats = sorted(ledger.repeats, key=lambda repeat: repeat.cause is not Cause.UNEXPLAINED)
    for repeat in repeats[:EVIDENCE]:
        first, again = repeat.first, repeat.again
        yield (
            f"{repeat.cause}: {repeat.order} of partition {first.place.partition} at offset "
            f"{first.place.offset}, {_by(first)}, then {_by(again)}"
        )


def _by(finish: Finish) -> str:
    holder = finish.holder
    return f"by {holder.member} in assignment {holder.assignment} at {finish.at_s:.2f} s"
