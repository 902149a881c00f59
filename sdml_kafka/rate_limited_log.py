"""Log lines for what may happen a thousand times a second, or last for an hour."""

from collections.abc import Callable, Collection, Mapping
from logging import INFO, WARNING, Logger
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

from attrs import define

from sdml_kafka.log_fields import LEFT_OUT, escaped
from sdml_kafka.safe_tracebacks import with_safe_tracebacks

LOG_INTERVAL_S = 30.0
"""Seconds between two lines of the same kind."""
MAX_KINDS = 1000
CALLER_OF_LOG = 3
"""The frame whose function a line names: the one that calls `RateLimitedLog.log`."""
NOTHING: Mapping[str, object] = MappingProxyType({})
type Common = Callable[[], Mapping[str, object]]
"""Returns the fields that all lines of a log have."""


def _shown(arg: object) -> object:
    return arg if isinstance(arg, int | float) else escaped(arg)


class _Line(NamedTuple):
    level: int
    text: str
    args: tuple[object, ...]
    extra: Mapping[str, object]


@define
class _Kind:
    next_at: float
    last: _Line
    """The latest line."""
    last_at: float
    left_out: int = 0
    is_over: bool = False
    """True if the latest line is not to be written later."""


class RateLimitedLog:
    """Writes each kind of line at most once in 30 s, with the number of lines left out since."""

    def __init__(
        self, log: Logger, clock: Callable[[], float] = monotonic, common: Common = dict
    ) -> None:
        self._log = with_safe_tracebacks(log)
        self._clock = clock
        self._common = common
        self._kinds: dict[str, _Kind] = {}

    def log(
        self,
        level: int,
        kind: str,
        text: str,
        *args: Any,
        error: Any = None,
        extra: Mapping[str, object] = NOTHING,
        late: str | None = None,
    ) -> None:
        """Write a line with the traceback of `error`, or count it as left out.

        Args:
            level: The level of the line.
            kind: The name of what happens; lines of one kind share the limit.
            text: The line, with a placeholder for each of `args`.
            *args: What the placeholders stand for. All but numbers are escaped and bounded.
            error: An exception, or None for a line without a traceback.
            extra: The fields of the line, beside those that all lines of this log have.
            late: The line with the same placeholders for when it is written later, if it then reads
                otherwise.
        """
        if not self._log.isEnabledFor(level):
            return
        now, shown = self._clock(), tuple(map(_shown, args))
        known = self._kinds.get(kind)
        if known is not None and now < known.next_at:
            known.last, known.last_at = _Line(level, late or text, shown, extra), now
            known.left_out, known.is_over = known.left_out + 1, False
            return
        if known is None and len(self._kinds) >= MAX_KINDS:
            self.flush(at_once=True)
            self._kinds.clear()
        last = _Line(level, text, shown, extra)
        self._write(last, 0 if known is None else known.left_out, error)
        self._kinds[kind] = _Kind(now + LOG_INTERVAL_S, last, now)

    def is_over(self, kind: str) -> None:
        """Write no line later that was left out of a kind: what it says is over. It counts."""
        if (known := self._kinds.get(kind)) is not None:
            known.is_over = True

    def flush(self, *, at_once: bool = False) -> None:
        """Write the last line that was left out of each kind whose interval is over, or of all.

        The line says how long ago it was. Its traceback is gone: an error that was kept would keep
        records alive.
        """
        now = self._clock()
        for known in self._kinds.values():
            if known.left_out and not known.is_over and (at_once or now >= known.next_at):
                last = known.last
                if (age_s := now - known.last_at) >= 1:
                    last = last._replace(text=f"{last.text} ({age_s:.0f} s ago)")
                self._write(last, known.left_out - 1)
                known.next_at, known.left_out = now + LOG_INTERVAL_S, 0

    def _write(self, line: _Line, more: int, error: Any = None) -> None:
        text, extra = line.text, {**self._common(), **line.extra}
        if more:
            text += f" ({more} more like this since the last line)"
            extra[LEFT_OUT] = more
        self._log.log(
            line.level, text, *line.args, exc_info=error, extra=extra, stacklevel=CALLER_OF_LOG
        )


class TroubleLog[K]:
    """Writes a WARNING when something begins to be wrong, and an INFO when it is right again.

    What is wrong has keys, such as partitions. Those that begin together share a line, and those
    that begin soon after a line wait for the next one.
    """

    def __init__(
        self,
        log: Logger,
        name: Callable[[Collection[K]], str],
        begins: str,
        ends: str,
        patience_s: float = 0.0,
        fields: Callable[[Collection[K]], Mapping[str, object]] = lambda keys: NOTHING,
        several: tuple[str, str] | None = None,
    ) -> None:
        """Begin with nothing wrong.

        Args:
            log: Where to write.
            name: Returns the names of some keys in one bounded text.
            begins: The WARNING, with `{names}` and `{why}`, the reason of the first key.
            ends: The INFO, with `{names}` and `{seconds}`, how long the first key was wrong.
            patience_s: Seconds for which it may be wrong without a line.
            fields: Returns the fields of a line on some keys.
            several: The WARNING and the INFO on several keys, None if they are the same.
        """
        self._log = log
        self._name = name
        self._one = begins, ends
        self._several = several or self._one
        self._patience_s = patience_s
        self._fields = fields
        self._since: dict[K, float] = {}
        self._said: set[K] = set()
        self._next_at = 0.0

    def look(
        self, now: float, wrong: Mapping[K, str], extra: Mapping[str, object] = NOTHING
    ) -> None:
        """Compare with what was wrong at the last look; `extra` are fields of a WARNING."""
        if not wrong and not self._since:
            return
        right = self._since.keys() - wrong.keys()
        if ended := self._said & right:
            self._said -= ended
            seconds = now - min(self._since[key] for key in ended)
            text = self._template(1, ended)
            text = text.format(names=self._name(ended), seconds=f"{seconds:.0f}")
            self._log.log(INFO, "%s", text, extra=self._fields(ended), stacklevel=2)
        for key in right:
            del self._since[key]
        due = [
            key
            for key in wrong
            if now - self._since.setdefault(key, now) >= self._patience_s and key not in self._said
        ]
        if due and now >= self._next_at:
            self._next_at = now + LOG_INTERVAL_S
            self._said.update(due)
            why = escaped(wrong[due[0]])
            text = self._template(0, due).format(names=self._name(due), why=why)
            fields = {**self._fields(due), **extra}
            self._log.log(WARNING, "%s", text, extra=fields, stacklevel=2)

    def _template(self, which: int, keys: Collection[K]) -> str:
        return (self._one if len(keys) == 1 else self._several)[which]
