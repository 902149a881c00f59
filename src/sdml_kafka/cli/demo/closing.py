"""The books at the end, in words. Pure."""

from collections.abc import Iterator

from attrs import frozen

from sdml_kafka.cli.demo.ledger import Balance, Cause, Ledger

EVIDENCE = 5
"""How many of the records that do not add up are shown one by one."""


@frozen
class Closing:
    entries: tuple[tuple[str, int], ...]
    evidence: tuple[str, ...]
    """The records that do not add up, some of them."""
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
    unexplained = [repeat for repeat in ledger.repeats if repeat.cause is Cause.UNEXPLAINED]
    for repeat in unexplained[:EVIDENCE]:
        yield (
            f"unexplained: {repeat.order} at {repeat.first.place}: "
            f"{repeat.first.holder} at {repeat.first.at_s:.2f} s, "
            f"{repeat.again.holder} at {repeat.again.at_s:.2f} s"
        )
