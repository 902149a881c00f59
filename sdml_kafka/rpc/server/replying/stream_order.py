"""The order of a stream's replies in one topic, also when some have to be sent again.

How this works. Replies are sent as they come, many before the first is acknowledged. When one
fails that is to be sent again, those that come meanwhile wait behind it. Once all that were on
their way have an outcome, the first one goes alone, and the others follow when the broker has it.
So only a reply that was on its way already can overtake one that failed, and that is noticed.

The first reply of all goes alone where neither a partition nor a key says where to. The others
follow it to the partition that it has got.

Rules for whoever edits this file:

- What `take` returns, and what `add` says to send, counts as on its way until it has an outcome.
- Plain synchronous calls by one owner, who passes no time in, and asks `take` when that has come.
"""

from collections.abc import Sequence
from typing import Protocol

from attrs import define, field


class Numbered(Protocol):
    """A reply of a stream."""

    @property
    def number(self) -> int:
        """The number of replies of the stream before this one."""
        ...


@define(eq=False)
class StreamOrder[R: Numbered]:
    """The replies of a stream to one topic that are on their way, or wait to be sent."""

    partition: int | None
    """The partition for all of them; None while it is not known, or where the key decides."""
    is_numbered: bool
    """True if the reader puts replies in their order itself."""
    goes_alone: bool
    """True until the broker has a reply, if the others have to wait for that."""
    not_before: float = field(default=0.0, init=False)
    """The time of the owner's clock before which nothing is to be sent again."""
    _on_way: int = field(default=0, init=False)
    _last: int = field(default=-1, init=False)
    """The highest number of a reply that the broker has."""
    _failed: list[R] = field(factory=list[R], init=False)
    _behind: list[R] = field(factory=list[R], init=False)

    def add(self, reply: R) -> bool:
        """Enter the next reply; return whether to send it now. Otherwise it waits for `take`."""
        if self._failed or self._behind or (self.goes_alone and self._on_way):
            self._behind.append(reply)
            return False
        self._on_way += 1
        return True

    def acknowledged(self, reply: R) -> None:
        """Note that the broker has a reply that was on its way."""
        self._on_way -= 1
        self._last = max(self._last, reply.number)
        self.goes_alone = False

    def failed(self, reply: R) -> None:
        """Note that a reply that was on its way is to be sent again."""
        self._on_way -= 1
        self._failed.append(reply)
        self.goes_alone = True

    def given_up(self) -> None:
        """Note that a reply that was on its way is not sent again."""
        self._on_way -= 1

    @property
    def overtaken(self) -> R | None:
        """The first of the replies that failed though the broker has one that comes after it.

        None if there is none, or the reader puts them in order.
        """
        first = min(self._failed, key=_number, default=None)
        if first is None or self.is_numbered or first.number > self._last:
            return None
        return first

    @property
    def is_due(self) -> bool:
        """True if replies wait, and none is on its way that they have to wait for."""
        return not self._on_way and bool(self._failed or self._behind)

    def take(self) -> Sequence[R]:
        """Return what to send now, in order."""
        waiting = [*sorted(self._failed, key=_number), *self._behind]
        count = 1 if self.goes_alone else len(waiting)
        self._failed, self._behind = [], waiting[count:]
        self._on_way += len(waiting[:count])
        return waiting[:count]

    def drop(self) -> Sequence[R]:
        """Return the replies that wait, which will not be sent."""
        waiting = [*self._failed, *self._behind]
        self._failed, self._behind = [], []
        return waiting


def _number(reply: Numbered) -> int:
    return reply.number
