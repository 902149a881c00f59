"""The lag of each object over the last looks, for one line of blocks."""

from collections import deque

from sdml_kafka.observability.document_shape import ObjectDocument, StatusDocument

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 40
"""The number of looks that are remembered."""


class History:
    """The sums of the lags of each object's partitions, at the last looks."""

    def __init__(self) -> None:
        self._lags: dict[str, deque[int]] = {}

    def note(self, document: StatusDocument) -> None:
        """Note the lags of a document, and forget objects that are not in it."""
        before, self._lags = self._lags, dict[str, deque[int]]()
        for each in document["objects"]:
            lags = before.get(each["name"]) or deque[int](maxlen=WIDTH)
            lags.append(lag_of(each))
            self._lags[each["name"]] = lags

    def line(self, name: str) -> str:
        """Return a block for each look, as high as the lag was beside the largest one."""
        lags = self._lags.get(name) or ()
        most = max(lags, default=0)
        if not most:
            return ""
        return "".join(BLOCKS[lag * (len(BLOCKS) - 1) // most] for lag in lags)


def lag_of(each: ObjectDocument) -> int:
    """Return the sum of the lags that are known."""
    return sum(max(0, partition["lag"] or 0) for partition in each["partitions"])
