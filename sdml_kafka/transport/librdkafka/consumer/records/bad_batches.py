"""Find where a batch ends that does not decode. Pure.

librdkafka names the first offset of such a batch, and not the last one. A fetch from any offset
within it fails in the same way. So reading is tried further and further on, until it does not fail
any more, and then between the last failure and that place, until the two are neighbours. For a
batch of n records that takes some 2 log2(n) fetches.
"""


class BadBatch:
    """The search for the end of one batch."""

    def __init__(self, first: int, base: int | None, log_end: int, reason: str) -> None:
        """Begin with a failure.

        Args:
            first: The offset that was to be read.
            base: The offset at which the batch begins, as librdkafka has said.
            log_end: The offset at which the log ends, behind which reading would begin anew.
            reason: Why the batch does not decode.
        """
        self.first = first
        self.reason = reason
        self.trying: int = first + 1
        """The offset from which reading is tried now."""
        self._base = base
        self._log_end = log_end
        self._inside = first
        self._outside: int | None = None
        self._step = 1

    @property
    def is_found(self) -> bool:
        """True if the end of the batch is known, which is `trying`."""
        return self._outside == self.trying == self._inside + 1

    def failed(self, base: int | None) -> None:
        """Note that reading has failed at a batch that begins at this offset."""
        if base == self._base:
            self._inside = self.trying
        else:
            self._outside = self.trying
        self._choose()

    def passed(self) -> None:
        """Note that reading has not failed."""
        self._outside = self.trying
        self._choose()

    def _choose(self) -> None:
        if self._outside is None:
            self._step *= 2
            farthest = min(self._inside + self._step, self._log_end)
            self.trying = max(self._inside + 1, farthest)
        elif self._outside - self._inside > 1:
            self.trying = (self._inside + self._outside) // 2
        else:
            self.trying = self._outside
