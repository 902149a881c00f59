"""Runs a spec's parser over a batch of records, under the policy for records that do not parse."""

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from itertools import islice
from logging import getLogger
from typing import Any, Literal

import anyio
import anyio.lowlevel
from attrs import define, field

from sdml_kafka.errors import ParseFailed
from sdml_kafka.parsing.parsers import Skip, forget_raise
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.parsing.type_checks import name_of
from sdml_kafka.transport.interfaces import Record

_log = getLogger("sdml_kafka.listener")

RUN = 32
"""Records that are parsed between two looks at the clock."""
MAX_PARSING_S = 0.01
"""Seconds that parsers may hold up the event loop before others get their turn."""
MAX_ERROR_TEXT = 200
"""Characters of an error that are logged."""

ParseErrorHandler = Callable[[Any, Exception], Awaitable[None] | None]
OnParseError = Literal["skip", "raise"] | ParseErrorHandler


@define
class Parsed:
    """What one spec made of a batch."""

    values: list[object] = field(factory=list[object])
    indices: Sequence[int] = ()
    """The place in the batch of the record that each value was made of."""
    dropped: list[int] = field(factory=list[int])
    """The places in the batch of the records that did not parse, or are not for this spec."""


class BatchParser:
    """Parses batches, and counts the records that do not parse."""

    def __init__(
        self, on_parse_error: OnParseError, on_failure: Callable[[Exception], None]
    ) -> None:
        """Begin with no parse error counted.

        Args:
            on_parse_error: What to do about a record that does not parse; see `KafkaListener`.
            on_failure: Called with the error that has to stop the listener.
        """
        self._on_parse_error = on_parse_error
        self._on_failure = on_failure
        self.parse_errors: int = 0

    async def parse(self, spec: CompiledSpec, records: Sequence[Record]) -> Parsed:
        """Parse a batch; raise only what has to stop the listener."""
        parsed = Parsed()
        if spec.is_async:
            await self._parse_async(spec, records, parsed)
        else:
            await self._parse_plain(spec, records, parsed)
        parsed.indices = range(len(records))
        if parsed.dropped:
            dropped = set(parsed.dropped)
            parsed.indices = [index for index in parsed.indices if index not in dropped]
        kinds = set(map(type, parsed.values))
        if Skip in kinds:
            kinds.remove(Skip)
            _drop_skipped(parsed)
        if any(not issubclass(kind, spec.accepts) for kind in kinds):
            await self._recheck(spec, records, parsed)
        return parsed

    async def _parse_plain(
        self, spec: CompiledSpec, records: Sequence[Record], parsed: Parsed
    ) -> None:
        values, dropped, left = parsed.values, parsed.dropped, iter(records)
        pause_at = anyio.current_time() + MAX_PARSING_S
        while len(values) + len(dropped) < len(records):
            try:
                # In one call for many; what came before a record that raises is kept.
                values.extend(map(spec.parser, islice(left, RUN)))
            except Exception as error:
                index = len(values) + len(dropped)
                await self._handle_error(spec, records[index], error)
                dropped.append(index)
            if anyio.current_time() > pause_at:
                await anyio.lowlevel.checkpoint()
                pause_at = anyio.current_time() + MAX_PARSING_S

    async def _parse_async(
        self, spec: CompiledSpec, records: Sequence[Record], parsed: Parsed
    ) -> None:
        for index, record in enumerate(records):
            try:
                parsed.values.append(await spec.parser(record))
            except Exception as error:
                await self._handle_error(spec, record, error)
                parsed.dropped.append(index)

    async def _recheck(self, spec: CompiledSpec, records: Sequence[Record], parsed: Parsed) -> None:
        """Await values that are awaitable, and sort out values of another type than the spec's.

        A plain function may return an awaitable, too.
        """
        indices, values = parsed.indices, parsed.values
        parsed.indices, parsed.values = kept, good = list[int](), list[object]()
        for index, value in zip(indices, values, strict=True):
            try:
                if isawaitable(value):
                    value = await value
                    if isinstance(value, Skip):
                        raise value
                if not isinstance(value, spec.accepts):
                    raise TypeError(
                        f"the parser returned {type(value).__name__}, "
                        f"its spec says {name_of(spec.type)}"
                    )
            except Exception as error:
                await self._handle_error(spec, records[index], error)
                parsed.dropped.append(index)
            else:
                kept.append(index)
                good.append(value)

    async def _handle_error(self, spec: CompiledSpec, record: Record, error: Exception) -> None:
        if isinstance(error, Skip):
            forget_raise(error)
            return
        self.parse_errors += 1
        where = f"{record.topic!r} partition {record.partition} offset {record.offset}"
        # An error's text may quote the record, so it is escaped and cut.
        why = _brief(error)
        if self._on_parse_error == "skip":
            _log.warning("skipped a record that did not parse: %s: %s", where, why)
            return
        try:
            if isinstance(self._on_parse_error, str):
                raise ParseFailed(
                    f"{where} did not parse as {name_of(spec.type)}: {why}. Mend the parser or "
                    "the record, or pass on_parse_error='skip'."
                ) from error
            outcome = self._on_parse_error(record, error)
            if outcome is not None:
                await outcome
        except Exception as failure:
            self._on_failure(failure)
            raise


def _drop_skipped(parsed: Parsed) -> None:
    pairs = list(zip(parsed.indices, parsed.values, strict=True))
    parsed.dropped += [index for index, value in pairs if isinstance(value, Skip)]
    kept = [pair for pair in pairs if not isinstance(pair[1], Skip)]
    parsed.indices, parsed.values = [at for at, _ in kept], [value for _, value in kept]


def _brief(error: Exception) -> str:
    try:
        return repr(error)[:MAX_ERROR_TEXT]
    except Exception:  # the class is the user's
        return f"{type(error).__name__}, whose repr raises"
