"""Runs a spec's parser over a batch of records, under the policy for records that do not parse."""

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from itertools import islice
from logging import WARNING
from typing import Any, Final, Literal, Protocol

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.preparations import Preparations
from sdml_kafka.errors import ConfigurationError, ParseFailed
from sdml_kafka.log_fields import brief, place_of, record_fields
from sdml_kafka.parsing.not_yet import NotYet
from sdml_kafka.parsing.parsers import SKIP, Skip, forget_raise
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.parsing.type_checks import name_of
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces.records import Record

RUN = 32
"""Records that are parsed between two looks at the clock."""
MAX_PARSING_S = 0.01
"""Seconds that parsers may hold up the event loop before others get their turn."""

ParseErrorHandler = Callable[[Record, Exception], Awaitable[None] | None]
OnParseError = Literal["skip", "raise"] | ParseErrorHandler


NOT_CALLED: Final = object()
"""Stands for the result of a parser that was not called yet."""
GONE: Final = object()
"""Stands for the value of a record that was held, and whose partition was revoked meanwhile."""


@frozen
class Unparsed:
    """Stands for the value of a record whose parser raised."""

    error: Exception


class DeadLetterWriter(Protocol):
    """Writes records that did not parse to a topic of dead letters."""

    def bury(
        self,
        record: Record,
        error: Exception,
        chunk: Chunk[Tenancy],
        index: int,
        *,
        is_in_hand: bool,
    ) -> None:
        """Keep a record from finishing until its dead letter is acknowledged.

        Args:
            record: The record.
            error: What its parser raised.
            chunk: The chunk that it was delivered with.
            index: Its place there.
            is_in_hand: Whether somebody has taken the record, who finishes it as well; otherwise
                the chunk waits for the dead letter already.

        Raises:
            TooManyDeadLetters: The listener has to stop, which was reported as well.
        """

    def note_good(self, count: int) -> None:
        """Note that so many records, which will be handed out, parsed after the last failure."""


@define
class Parsed:
    """A batch as one spec has parsed it."""

    values: list[object] = field(factory=list[object])
    indices: Sequence[int] = ()
    """The place in the batch of the record that each value was made of."""
    dropped: list[int] = field(factory=list[int])
    """The places in the batch of the records that did not parse, or are not for this spec."""
    unparsed: list[tuple[int, Unparsed]] = field(factory=list[tuple[int, Unparsed]])
    """Those of the dropped that need a dead letter before they finish."""
    waits: bool = False
    """True if some of the values have to be awaited, or made later."""


class BatchParser:
    """Parses batches, and counts the records that do not parse."""

    def __init__(
        self,
        on_parse_error: OnParseError,
        on_failure: Callable[[Exception], None],
        log: RateLimitedLog,
        dead_letters: DeadLetterWriter | None = None,
        preparations: Preparations | None = None,
    ) -> None:
        """Begin with no parse error counted.

        Args:
            on_parse_error: What to do about a record that does not parse; see `KafkaListener`.
            on_failure: Called with the error that has to stop the listener.
            log: Where skipped records are logged.
            dead_letters: Takes the records that do not parse, None for `on_parse_error` to decide.
            preparations: Where records wait whose parsers need something first.
        """
        self._on_parse_error = on_parse_error
        self._on_failure = on_failure
        self._log = log
        self.dead_letters: DeadLetterWriter | None = dead_letters
        self.preparations: Preparations = preparations or Preparations()
        self._seen_to_wait: set[CompiledSpec] = set()
        self._seen_plain: set[CompiledSpec] = set()
        self.parse_errors: int = 0

    def waits(self, spec: CompiledSpec) -> bool:
        """Return whether the spec's parser is async, or has been seen to return awaitables."""
        return spec.is_async or spec in self._seen_to_wait

    def is_plain(self, spec: CompiledSpec) -> bool:
        """Return whether the spec's parser has returned values, and no awaitables so far."""
        return spec.decode is not None or (
            spec in self._seen_plain and spec not in self._seen_to_wait
        )

    async def parse(
        self, spec: CompiledSpec, records: Sequence[Record], tenancy: Tenancy
    ) -> Parsed:
        """Parse a batch by a plain parser; raise only what has to stop the listener.

        A plain function may return an awaitable, too, or need something first. Then nothing is
        awaited or checked here.
        """
        parsed = Parsed()
        await self._call(spec, records, parsed)
        parsed.indices = range(len(records))
        if parsed.dropped:
            dropped = set(parsed.dropped)
            parsed.indices = [index for index in parsed.indices if index not in dropped]
        if parsed.waits:
            return parsed
        kinds = set(map(type, parsed.values))
        if Skip in kinds:
            kinds.remove(Skip)
            _drop_skipped(parsed)
        if any(_has_to_be_awaited(kind, spec) for kind in kinds):
            self._seen_to_wait.add(spec)
            parsed.waits = True
            return parsed
        if kinds:
            self._seen_plain.add(spec)
        if any(not issubclass(kind, spec.accepts) for kind in kinds):
            await self._recheck(spec, records, tenancy, parsed)
        return parsed

    async def settle_one(
        self, spec: CompiledSpec, record: Record, made: object, chunk: Chunk[Tenancy], index: int
    ) -> object:
        """Return the value of a record that somebody has in hand, `SKIP` if it may finish.

        `GONE` is returned if the record was held until its partition was revoked.

        Args:
            spec: Says how to parse the record.
            record: The record.
            made: What the parser has returned; `NOT_CALLED`, or `Unparsed` if it raised.
            chunk: The chunk that the record was delivered with.
            index: Its place there.

        Raises:
            Exception: The listener has to stop, which was reported as well.
        """
        if not isinstance(made, Unparsed):
            value = await self.parse_one(spec, record, chunk.tenancy, made)
        elif isinstance(made.error, NotYet):
            value = await self.parse_one(spec, record, chunk.tenancy)
        else:
            value = await self.handle_error(spec, record, made.error)
        if isinstance(value, Unparsed) and self.dead_letters is not None:
            self.dead_letters.bury(record, value.error, chunk, index, is_in_hand=True)
            return SKIP
        return value

    async def parse_one(
        self, spec: CompiledSpec, record: Record, tenancy: Tenancy, made: object = NOT_CALLED
    ) -> object:
        """Parse and check one record, and wait for an async parser, or for what a parser needs.

        Args:
            spec: Says how to parse it.
            record: The record.
            tenancy: The stay of its partition.
            made: What the parser has returned, if it was called already.

        Returns:
            The value; `SKIP` if the record did not parse or is not for this spec; `Unparsed` if it
            needs a dead letter; `GONE` if it was held until its partition was revoked.
        """
        value: Any = made
        while True:
            try:
                if value is NOT_CALLED:
                    value = spec.parser(record)
                    if spec.is_async:
                        value = await value
                    if value.__class__ is spec.accepts:
                        return value  # by far the most frequent
                while _has_to_be_awaited(value.__class__, spec):
                    self._seen_to_wait.add(spec)
                    value = await value
                return _checked(spec, value)
            except NotYet as not_yet:  # any number of times, which is why this is a loop
                value = await self._prepared(spec, record, tenancy, not_yet)
            except Exception as error:
                return await self.handle_error(spec, record, error)
            if value is not NOT_CALLED:
                return value

    async def _prepared(
        self, spec: CompiledSpec, record: Record, tenancy: Tenancy, not_yet: NotYet
    ) -> object:
        """Hold a record until its parser has what it needs; return `NOT_CALLED` to call it then."""
        try:
            if not await self.preparations.wait(tenancy, record.offset, not_yet):
                return GONE
        except Exception as error:
            return await self.handle_error(spec, record, error)
        return NOT_CALLED

    async def _call(self, spec: CompiledSpec, records: Sequence[Record], parsed: Parsed) -> None:
        values, dropped, left = parsed.values, parsed.dropped, iter(records)
        pause_at = anyio.current_time() + MAX_PARSING_S
        while (begin := len(values) + len(dropped)) < len(records):
            try:
                # In one call for many; what came before a record that raises is kept.
                values.extend(map(spec.parser, islice(left, RUN)))
                if len(values) + len(dropped) < min(begin + RUN, len(records)):
                    # To `map`, a StopIteration is the end; the record that raised it was taken.
                    raise RuntimeError("the parser raised StopIteration")
            except NotYet:
                values.append(NOT_CALLED)
                parsed.waits = True
            except Exception as error:
                index = len(values) + len(dropped)
                outcome = await self.handle_error(spec, records[index], error)
                if isinstance(outcome, Unparsed):
                    parsed.unparsed.append((index, outcome))
                dropped.append(index)
            if anyio.current_time() > pause_at:
                await anyio.lowlevel.checkpoint()
                pause_at = anyio.current_time() + MAX_PARSING_S

    async def _recheck(
        self, spec: CompiledSpec, records: Sequence[Record], tenancy: Tenancy, parsed: Parsed
    ) -> None:
        """Sort out values of another type than the spec's."""
        indices, values = parsed.indices, parsed.values
        parsed.indices, parsed.values = kept, good = list[int](), list[object]()
        for index, value in zip(indices, values, strict=True):
            checked = await self.parse_one(spec, records[index], tenancy, value)
            if isinstance(checked, Unparsed):
                parsed.unparsed.append((index, checked))
            if checked is SKIP or isinstance(checked, Unparsed):
                parsed.dropped.append(index)
            else:
                kept.append(index)
                good.append(value)

    async def handle_error(
        self, spec: CompiledSpec, record: Record, error: Exception
    ) -> Skip | Unparsed:
        """Do what the policy says about a record that did not parse.

        Returns:
            `SKIP` if it may finish, `Unparsed` if it needs a dead letter before.

        Raises:
            Exception: The listener has to stop, which was reported to `on_failure`, too.
        """
        if isinstance(error, Skip):
            forget_raise(error)
            return SKIP
        where, why = place_of(record), brief(error)  # whose text may quote the record
        if isinstance(error, ConfigurationError):
            # Whatever the policy: every record would be skipped because of the program.
            mistake = ConfigurationError(
                f"The parser of {name_of(spec.type)} cannot work ({where}): {why}. No record is "
                "skipped for that: change the program."
            )
            mistake.__cause__ = error
            self._on_failure(mistake)
            raise mistake
        self.parse_errors += 1
        if self.dead_letters is not None:
            return Unparsed(error)
        if self._on_parse_error == "skip":
            text = "skipped a record that did not parse as %s: %s: %s"
            yields = name_of(spec.type)
            kind = f"parse {record.topic} {yields} {type(error).__name__}"
            extra = record_fields(record, error=error)
            self._log.log(WARNING, kind, text, yields, where, why, extra=extra)
            return SKIP
        try:
            if isinstance(self._on_parse_error, str):
                raise ParseFailed(
                    f"{where} did not parse as {name_of(spec.type)}: {why}. Mend the parser or "
                    "the record, or pass on_parse_error='skip'."
                ) from error
            outcome = self._on_parse_error(record, error)
            if isawaitable(outcome):
                await outcome
        except Exception as failure:
            self._on_failure(failure)
            raise
        return SKIP


def _has_to_be_awaited(kind: type, spec: CompiledSpec) -> bool:
    """Return whether a value of this class is an awaitable, and not what the spec asks for."""
    return hasattr(kind, "__await__") and (
        not issubclass(kind, spec.accepts) or issubclass(object, spec.accepts)
    )


def _checked(spec: CompiledSpec, value: object) -> object:
    """Return the value, `SKIP` if the record is not for this spec; raise if it is of no use."""
    if isinstance(value, Skip):
        return SKIP
    if not isinstance(value, spec.accepts):
        raise TypeError(
            f"the parser returned {type(value).__name__}, its spec says {name_of(spec.type)}"
        )
    return value


def _drop_skipped(parsed: Parsed) -> None:
    pairs = list(zip(parsed.indices, parsed.values, strict=True))
    parsed.dropped += [index for index, value in pairs if isinstance(value, Skip)]
    kept = [pair for pair in pairs if not isinstance(pair[1], Skip)]
    parsed.indices, parsed.values = [at for at, _ in kept], [value for _, value in kept]
