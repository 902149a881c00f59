"""The rate of a count over the last second or so, and its history."""

from collections import deque

from attrs import define, field


@define
class RateMeter:
    _window_s: float = 1.0
    _step_s: float = 0.5
    _samples: deque[tuple[float, int]] = field(factory=deque[tuple[float, int]], init=False)
    _history: deque[float] = field(factory=lambda: deque[float](maxlen=120), init=False)
    _step_at_s: float = field(default=0.0, init=False)
    _step_count: int = field(default=0, init=False)

    def add(self, now_s: float, count: int) -> None:
        """Enter what the count is now."""
        self._samples.append((now_s, count))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= self._window_s:
            self._samples.popleft()
        if now_s - self._step_at_s >= self._step_s:
            self._history.append((count - self._step_count) / (now_s - self._step_at_s))
            self._step_at_s, self._step_count = now_s, count

    def rate(self) -> float:
        """Return the increase per second, 0 when nothing is known yet."""
        if len(self._samples) < 2:
            return 0.0
        (since, before), (now, count) = self._samples[0], self._samples[-1]
        return (count - before) / (now - since) if now > since else 0.0

    def history(self) -> tuple[float, ...]:
        """Return the rates of the last minute, one for each half second."""
        return tuple(self._history)
