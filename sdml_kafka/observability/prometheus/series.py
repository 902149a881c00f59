"""Bounds how many series a metric has: names of topics and handlers may be many."""

from collections.abc import Callable
from operator import add

MAX_SERIES = 1000
"""The series of a metric; whatever would be one more counts as `OTHER`."""
OTHER = "other"


class Values:
    """Values by their labels, of which those beyond the bound are joined to one."""

    def __init__(self, labels: int, join: Callable[[float, float], float] = add) -> None:
        self._labels = labels
        self._join = join
        self._values: dict[tuple[str, ...], float] = {}

    def note(self, labels: tuple[str, ...], value: float) -> None:
        """Note a value; several with the same labels are joined."""
        if labels not in self._values and len(self._values) >= MAX_SERIES:
            labels = (OTHER,) * self._labels
        known = self._values.get(labels)
        self._values[labels] = value if known is None else self._join(known, value)

    def items(self) -> list[tuple[tuple[str, ...], float]]:
        """Return all of them."""
        return list(self._values.items())
