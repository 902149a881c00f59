"""The answers that repeats of a request get, by id: bounded in number, in size and in time.

Pure: plain synchronous calls by one owner, who passes the time in, in seconds.
"""

from collections.abc import Hashable

from attrs import define, field, frozen


@frozen
class Dedupe:
    """Answer a request that comes again with the answer to the first one; the handler runs once.

    A repeat has the topic and the id (in a header) of an earlier request. The server remembers
    answers in its own memory alone, so a repeat has to come to the same server, as requests with
    one key do while the group does not change.

    Args:
        most: The number of answers that are kept, at most.
        keep_s: Seconds that an answer is kept.
        most_bytes: The size of all kept answers together, at most.

    Raises:
        ValueError: A bound is not above 0, or `keep_s` is infinite.
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
    """The requests that run, and the answers that are kept.

    `A` is an answer, `W` what stands for a repeat that waits while the first request runs.
    """

    policy: Dedupe
    _running: dict[Hashable, list[W]] = field(factory=dict[Hashable, list[W]], init=False)
    _kept: dict[Hashable, _Kept[A]] = field(factory=dict[Hashable, _Kept[A]], init=False)
    """The kept answers, the next one to be forgotten first."""
    _bytes: int = field(default=0, init=False)

    def __len__(self) -> int:
        """Return the number of answers that are kept."""
        return len(self._kept)

    def begin(self, key: Hashable, waiting: W, now: float) -> A | bool:
        """Enter a request; return the answer that is kept for it, if there is one.

        Return True if the request is new, so that it runs from now on; False if an equal one runs
        already, whose `end` will return `waiting`.
        """
        self._forget_old(now)
        if (kept := self._kept.get(key)) is not None:
            return kept.answer
        if (others := self._running.get(key)) is not None:
            others.append(waiting)
            return False
        self._running[key] = []
        return True

    def end(self, key: Hashable, answer: A | None, size: int, now: float) -> list[W]:
        """Keep the answer to a request that ran; return what waited for it.

        Args:
            key: What `begin` was called with.
            answer: None if later repeats must not get the answer.
            size: The bytes that the answer takes.
            now: The time in seconds.
        """
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
