"""Lists the actors of a supervision tree, and describes them."""

from collections.abc import Iterator

from attrs import frozen

from sdml_kafka.runtime import ActorSnapshot


@frozen
class ActorRow:
    is_child: bool
    is_last: bool
    """True if the actor is the last child of its parent."""
    depth: int
    actor: ActorSnapshot


def rows(tree: ActorSnapshot, depth: int = 0, *, is_last: bool = True) -> Iterator[ActorRow]:
    """Yield all actors from the root down, in the order in which they are started."""
    yield ActorRow(depth > 0, is_last, depth, tree)
    for number, child in enumerate(tree.children, 1):
        yield from rows(child, depth + 1, is_last=number == len(tree.children))


def restarts(actor: ActorSnapshot) -> str:
    """Return how often the actor was restarted, an empty text if never."""
    return f"{actor.restarts}x restarted" if actor.restarts else ""


def inbox(actor: ActorSnapshot) -> str:
    """Return how full the actor's inbox is, an empty text if the actor has none."""
    return f"{actor.inbox_depth}/{actor.inbox_capacity}" if actor.inbox_capacity else ""


def leaves(tree: ActorSnapshot) -> Iterator[ActorSnapshot]:
    """Yield the actors that do the work, without their supervisors."""
    if not tree.children:
        yield tree
    for child in tree.children:
        yield from leaves(child)
