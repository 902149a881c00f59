"""The books at the end, in words. Pure."""

from collections.abc import Iterator

from attrs import frozen

from sdml_kafka.cli.demo.ledger import Balance, Cause, Finish, Ledger

EVIDENCE = 5
"""How many of the lost records, and of the repeated ones, are shown one by one."""


@frozen
class Closing:
    entries: tuple[tuple[str, int], ...]
    evidence: tuple[str, ...]
    """Records that were lost or repeated, some of them."""
    verdict: str
    is_good: bool


def close_books(ledger: Ledger, *, cut_short: bool) -> Closing:
    """`cut_short`: the demo did not come to its end, so that some records are still on the way."""
    balance = ledger.balance()
    if cut_short:
        text = f"cut short, with {balance.lost:,} records still on their way"
        return Closing(tuple(_entries(balance, "not finished yet")), (), text, False)
    return Closing(
        tuple(_entries(balance, "lost")), tuple(_evidence(ledger)), _verdict(balance), balance.holds
    )


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


def _verdict(balance: Balance) -> str:
    if balance.sent == 0:
        return "nothing was sent, so nothing was shown"
    if not balance.holds:
        return "NOT BALANCED: please report this, with all of the above"
    if any(balance.repeats.values()):
        return "balanced: nothing lost, every repeat explained"
    return "balanced: nothing lost, nothing repeated"


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
