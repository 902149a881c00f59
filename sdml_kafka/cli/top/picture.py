"""The picture of `sdml-kafka top`: what is in trouble first, in words as well as in colours."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sdml_kafka.cli.top.columns import Column, FittingTable
from sdml_kafka.cli.top.fitting import Section
from sdml_kafka.cli.top.history import History, lag_of
from sdml_kafka.observability.document_shape import (
    ActorDocument,
    CallDocument,
    ObjectDocument,
    PartitionDocument,
    ProcessorDocument,
    StatusDocument,
)
from sdml_kafka.printable import one_line

MAX_ROWS = 20
"""The rows of a table; the number of the others is named."""
MAX_OBJECTS = 50
MAX_COUNTERS = 50
MAX_ACTORS = 100
MAX_RECENT = 8
MAX_TEXT = 1000
"""The characters of a text that are shown; a program that keeps to the document writes fewer."""
MAX_ID = 40
"""The characters of a call's id that are shown; it may come from elsewhere."""
GOOD = frozenset(("idle", "moving", "waiting", "paused", "draining", "no partitions"))


def picture(document: StatusDocument, history: History, source: str) -> RenderableType:
    """Return all of a document."""
    parts = [(each.troubles, each.details) for each in sections(document, history, source)]
    return Group(*(part for pair in parts for part in pair if part is not None))


def sections(document: StatusDocument, history: History, source: str) -> list[Section]:
    """Return a document in sections: a line on the program, then its objects."""
    at = datetime.fromtimestamp(document["at"]).strftime("%H:%M:%S")
    life = "live" if document["live"] else "NOT LIVE"
    work = "ready" if document["ready"] else "NOT READY"
    head = _text(f"{source}  pid {document['pid']}  {at}  ")
    head.append(life, "green" if document["live"] else "bold red")
    head.append(", ")
    head.append(work, "green" if document["ready"] else "bold red")
    order = sorted(document["objects"], key=lambda each: each["health"]["ready"])
    shown = [_section(each, history, document["at"]) for each in order[:MAX_OBJECTS]]
    return [
        Section(head),
        *shown,
        *(Section(text) for text in _others(order, MAX_OBJECTS, "objects")),
    ]


def _section(each: ObjectDocument, history: History, at: float) -> Section:
    return Section(
        Group(Text(), _title(each), _indented(_troubles(each))),
        _indented(_details(each, history, at)),
    )


def _indented(parts: Iterator[RenderableType]) -> Padding:
    return Padding(Group(*parts), (0, 0, 0, 2))


def _title(each: ObjectDocument) -> Text:
    health = each["health"]
    is_named = not each["group_id"] or each["name"].endswith(f" {each['group_id']}")
    group = "" if is_named else f" of group {each['group_id']}"
    title = _text(f"{each['name']}{group}  ", "bold")
    title.append_text(_state(health["state"]))
    title.append_text(_text(f"{_since(health['since_s'])}: {health['reason']}"))
    return title


def _troubles(each: ObjectDocument) -> Iterator[RenderableType]:
    kinds = "partition", "processor"  # whose rows show it
    parts = [one for one in each["health"]["parts"] if not one["ok"] and one["kind"] not in kinds]
    for part in parts[:MAX_ROWS]:
        yield _text(f"! {part['kind']} {part['name']}: {part['reason']}", "red")
    yield from _others(parts, MAX_ROWS, "in trouble")
    for held in each["not_taken"][:MAX_RECENT]:
        place = f"{held['topic']} {held['partition']} offset {held['offset']}"
        text = f"! held for {held['for_s']:.0f} s: {place}, its {held['purpose']} to {held['to']}"
        yield _text(f"{text}: {held['why']}", "red")


def _details(each: ObjectDocument, history: History, at: float) -> Iterator[RenderableType]:
    yield from _counts(each)
    if line := history.line(each["name"]):
        yield _text(f"lag {lag_of(each):,}  {line}")
    if each["partitions"]:
        yield _partitions(each["partitions"])
        yield from _more(each, "partitions")
    if each["processors"]:
        yield _processors(each["processors"])
        yield from _more(each, "processors")
    if each["calls"] is not None and each["calls"]["oldest"]:
        yield _calls(each["calls"]["oldest"])
    actors = [*_actors(each["tree"], 0)]
    yield from actors[:MAX_ACTORS]
    yield from _others(actors, MAX_ACTORS, "actors")
    for event in each["recent"][-MAX_RECENT:]:
        error = f": {event['error']}" if event["error"] else ""
        ago_s = max(0.0, at - event["at"])
        yield _text(f"{ago_s:.0f} s ago {event['what']} {event['actor']}{error}", "yellow")


def _counts(each: ObjectDocument) -> Iterator[RenderableType]:
    # A processor's row has its own; these are the letters of records that did not parse.
    names = {"dead_letters": "unparsed dead letters"}
    counts = each["counters"].items()
    counters = [f"{names.get(name, name)} {count:,}" for name, count in counts if count]
    if counters:
        shown = [_text(counter, "dim") for counter in counters[:MAX_COUNTERS]]
        yield Text(", ", "dim").join([*shown, *_others(counters, MAX_COUNTERS, "counters")])
    if each["calls"] is not None:
        yield _text(f"{each['calls']['in_flight']} calls in flight")
    if each["sends"]["waiting"] or each["kind"] == "producer":
        yield _text(f"{each['sends']['waiting']} records wait for acknowledgements")


def _more(
    each: ObjectDocument, rows: Literal["partitions", "processors"]
) -> Iterator[RenderableType]:
    more = max(0, len(each[rows]) - MAX_ROWS) + each["left_out"].get(rows, 0)
    if more:
        yield _text(f"and {more} more {rows}")


def _others(all_of_them: Sequence[object], shown: int, what: str) -> Iterator[Text]:
    """Yield the number of what is not shown, if there is any."""
    if len(all_of_them) > shown:
        yield _text(f"and {len(all_of_them) - shown:,} more {what}")


PARTITION_COLUMNS = (
    Column("topic", is_number=False),
    Column("partition", "part"),
    Column("state", is_number=False),
    Column("lag"),
    Column("in flight", "flight", leave_out=1),
    Column("oldest"),
    Column("committed", leave_out=2),
    Column("end", leave_out=3),
)


def _partitions(partitions: list[PartitionDocument]) -> RenderableType:
    def order(each: PartitionDocument) -> tuple[bool, int]:
        return each["state"] in GOOD, -(each["lag"] or 0)

    rows = [
        (
            _text(each["topic"]),
            _number(each["partition"]),
            _state(each["state"]),
            _number(each["lag"]),
            _number(each["in_flight"]),
            _seconds(each["oldest_s"]),
            _number(each["committed"]),
            _number(each["end"]),
        )
        for each in sorted(partitions, key=order)[:MAX_ROWS]
    ]
    return FittingTable(PARTITION_COLUMNS, rows)


PROCESSOR_COLUMNS = (
    Column("processor", is_number=False),
    Column("running", "run"),
    Column("queued", "queue", leave_out=1),
    Column("oldest"),
    Column("median", leave_out=5),
    Column("99 %", leave_out=4),
    Column("finished", "done", leave_out=2),
    Column("retries", "retry", leave_out=3),
    Column("failed", "fail"),
    Column("dead letters", "dead"),
)


def _processors(processors: list[ProcessorDocument]) -> RenderableType:
    rows = [
        (
            _text(each["name"]),
            _number(each["running"]),
            _number(each["queued"]),
            *(_seconds(each[name]) for name in ("oldest_s", "handler_p50_s", "handler_p99_s")),
            *(_number(each[name]) for name in ("finished", "retries", "failures", "dead_letters")),
        )
        for each in processors[:MAX_ROWS]
    ]
    return FittingTable(PROCESSOR_COLUMNS, rows)


CALL_COLUMNS = (
    Column("oldest call", is_number=False),
    Column("id", is_number=False, leave_out=1),
    Column("age"),
    Column("left"),
)


def _calls(calls: list[CallDocument]) -> RenderableType:
    rows = [
        (
            _text(each["topic"]),
            _text(each["id"][:MAX_ID]),
            _seconds(each["age_s"]),
            _seconds(each["left_s"]),
        )
        for each in calls[:MAX_ROWS]
    ]
    return FittingTable(CALL_COLUMNS, rows)


def _actors(actor: ActorDocument, depth: int) -> Iterator[Text]:
    restarts = f", {actor['restarts']}x restarted" if actor["restarts"] else ""
    error = f": {actor['last_error']}" if actor["last_error"] else ""
    is_well = actor["state"] in ("running", "new", "stopped", "finished")
    style = "dim" if is_well and not error else "yellow"
    yield _text(f"{'  ' * depth}{actor['name']} {actor['state']}{restarts}{error}", style)
    for child in actor["children"]:
        yield from _actors(child, depth + 1)


def _text(text: str, style: str = "") -> Text:
    return Text(one_line(text[:MAX_TEXT]), style)


def _state(state: str) -> Text:
    if state in GOOD:
        return _text(state, "green")
    return _text(f"! {state}", "bold red")


def _since(seconds: float | None) -> str:
    return "" if seconds is None else f" for {seconds:.0f} s"


def _number(number: int | None) -> Text:
    return Text("?" if number is None else f"{number:,}")


def _seconds(seconds: float | None) -> Text:
    if seconds is None:
        return Text()
    # Three digits, and never with an exponent, which nobody reads in passing.
    return Text(f"{seconds:,.0f} s" if seconds >= 100 else f"{round(seconds, 4):.3g} s")
