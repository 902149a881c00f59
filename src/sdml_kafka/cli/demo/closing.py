"""The books at the end, in words. Pure."""

from collections.abc import Iterator, Sequence

from sdml_kafka.cli.demo.ledger import Balance, Cause, Repeat

EVIDENCE = 5
"""How many of the records that do not add up are shown one by one."""


def entries(balance: Balance) -> Iterator[tuple[str, int]]:
    yield "sent: acknowledged by Kafka", balance.sent
    yield "finished: by the loops of a listener", balance.finished
    yield "lost", balance.lost
    yield "repeated", sum(balance.repeats.values())
    for cause, count in balance.repeats.items():
        if count or cause is not Cause.WRITTEN_TWICE:
            yield f"  {cause.value}", count
    if balance.unacknowledged:
        yield "finished, though not acknowledged to the sender", balance.unacknowledged


def verdict(balance: Balance) -> str:
    if balance.holds:
        repeated = sum(balance.repeats.values())
        rest = "nothing repeated" if repeated == 0 else "every repeat is explained"
        return f"balanced: nothing lost, {rest}"
    if balance.sent == 0:
        return "nothing was sent, so nothing was shown"
    return "NOT BALANCED: please report this, with the lines above and below"


def evidence(lost: Sequence[str], repeats: Sequence[Repeat]) -> Iterator[str]:
    """The records that do not add up."""
    for order in lost[:EVIDENCE]:
        yield f"lost: {order}"
    unexplained = [repeat for repeat in repeats if repeat.cause is Cause.UNEXPLAINED]
    for repeat in unexplained[:EVIDENCE]:
        yield (
            f"unexplained: {repeat.order} at {repeat.first.place}: "
            f"{repeat.first.holder} at {repeat.first.at_s:.2f} s, "
            f"{repeat.again.holder} at {repeat.again.at_s:.2f} s"
        )
