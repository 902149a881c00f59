"""A supervision tree as rows. Pure."""

from collections.abc import Iterator

from attrs import frozen

from sdml_kafka.runtime import ActorSnapshot


@frozen
class Row:
    is_child: bool
    is_last: bool
    depth: int
    actor: ActorSnapshot


def rows(tree: ActorSnapshot, depth: int = 0, *, is_last: bool = True) -> Iterator[Row]:
    """From the root down, in the order in which actors are started."""
    yield Row(depth > 0, is_last, depth, tree)
    for number, child in enumerate(tree.children, 1):
        yield from rows(child, depth + 1, is_last=number == len(tree.children))


def restarts(actor: ActorSnapshot) -> str:
    return f"{actor.restarts}x restarted" if actor.restarts else ""


def inbox(actor: ActorSnapshot) -> str:
    return f"{actor.inbox_depth}/{actor.inbox_capacity}" if actor.inbox_capacity else ""


def leaves(tree: ActorSnapshot) -> Iterator[ActorSnapshot]:
    """The actors that do the work, without their supervisors."""
    if not tree.children:
        yield tree
    for child in tree.children:
        yield from leaves(child)
