"""Which requests were answered already, by id: bounded in number, in size and in time.

Pure. One owner; plain synchronous calls; time (seconds) is passed in.
"""

from collections.abc import Hashable

from attrs import define, field, frozen


@frozen
class Dedupe:
    """A request that comes again gets the answer of the first one; its handler runs once.

    Remembered are the last `most` answers, of `most_bytes` together, for `keep_s` seconds, by
    the id in the request's header and its topic, in this server's memory alone: a repeat has to
    come to the same server, as requests with one key do while the group does not change.
    """

    most: int = 10_000
    keep_s: float = 300.0
    most_bytes: int = 64 << 20

    def __attrs_post_init__(self) -> None:
        if self.most < 1 or self.most_bytes < 1:
            raise ValueError("dedupe: `most` and `most_bytes` are 1 or more")
        if not 0 < self.keep_s < float("inf"):
            raise ValueError(f"dedupe: `keep_s` is in seconds and above 0, not {self.keep_s!r}")


@frozen
class _Kept[A]:
    answer: A
    size: int
    until: float


@define(eq=False)
class Repeats[W, A]:
    """`W` is what waits for the answer to one that runs, `A` an answer."""

    policy: Dedupe
    _running: dict[Hashable, list[W]] = field(factory=dict[Hashable, list[W]], init=False)
    _kept: dict[Hashable, _Kept[A]] = field(factory=dict[Hashable, _Kept[A]], init=False)
    """In the order in which they go."""
    _bytes: int = field(default=0, init=False)

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    def begin(self, key: Hashable, waiting: W, now: float) -> A | bool:
        """The answer that is kept; else True: it is new and runs from now on; else False: the
        same runs already, and `end` will name `waiting`."""
        self._forget_old(now)
        if (kept := self._kept.get(key)) is not None:
            return kept.answer
        if (others := self._running.get(key)) is not None:
            others.append(waiting)
            return False
        self._running[key] = []
        return True

    def end(self, key: Hashable, answer: A | None, size: int, now: float) -> list[W]:
        """Those that waited for it. `answer` None: none that a repeat may have; `size` in bytes."""
        if answer is not None and size <= self.policy.most_bytes:
            self._kept[key] = _Kept(answer, size, now + self.policy.keep_s)
            self._bytes += size
            self._forget_old(now)
            while len(self._kept) > self.policy.most or self._bytes > self.policy.most_bytes:
                self._forget_first()
        return self._running.pop(key, [])

    def _forget_old(self, now: float) -> None:
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._forget_first()

    def _forget_first(self) -> None:
        self._bytes -= self._kept.pop(next(iter(self._kept))).size
