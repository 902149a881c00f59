"""The times that the calls of the last few seconds took."""

from collections import deque

from attrs import define, field


@define
class Latencies:
    """The latencies of the calls that were answered within the last `window_s` seconds."""

    _window_s: float = 5.0
    _max_samples: int = 1000
    _samples: deque[tuple[float, float]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._samples = deque(maxlen=self._max_samples)

    def add(self, now_s: float, took_s: float) -> None:
        """Enter a call that was answered now."""
        self._samples.append((now_s, took_s))

    def quantiles_ms(self, now_s: float, *shares: float) -> list[float | None]:
        """Return one quantile for each share, 0.5 for the median; None when there are no calls."""
        while self._samples and now_s - self._samples[0][0] > self._window_s:
            self._samples.popleft()
        took = sorted(took_s for _, took_s in self._samples)
        if not took:
            return [None] * len(shares)
        return [1000 * took[min(len(took) - 1, int(share * len(took)))] for share in shares]
