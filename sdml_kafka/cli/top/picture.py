"""What `sdml-kafka top` shows: what is in trouble first, in words as well as in colours."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

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
MAX_RECENT = 8
GOOD = frozenset(("idle", "moving", "waiting", "paused", "draining", "no partitions"))


def picture(document: StatusDocument, history: History, source: str) -> RenderableType:
    """Return all of a document."""
    at = datetime.fromtimestamp(document["at"]).strftime("%H:%M:%S")
    life = "live" if document["live"] else "NOT LIVE"
    work = "ready" if document["ready"] else "NOT READY"
    head = _text(f"{source}  pid {document['pid']}  {at}  ")
    head.append(life, "green" if document["live"] else "bold red")
    head.append(", ")
    head.append(work, "green" if document["ready"] else "bold red")
    order = sorted(document["objects"], key=lambda each: each["health"]["ready"])
    return Group(head, *(_object(each, history, document["at"]) for each in order))


def _object(each: ObjectDocument, history: History, at: float) -> RenderableType:
    return Group(
        Text(),
        _title(each),
        Padding(Group(*_parts(each, history, at)), (0, 0, 0, 2)),
    )


def _title(each: ObjectDocument) -> Text:
    health = each["health"]
    group = f" of group {each['group_id']}" if each["group_id"] else ""
    title = _text(f"{each['name']}{group}  ", "bold")
    title.append_text(_state(health["state"]))
    title.append_text(_text(f"{_since(health['since_s'])}: {health['reason']}"))
    return title


def _parts(each: ObjectDocument, history: History, at: float) -> Iterator[RenderableType]:
    for part in each["health"]["parts"]:
        if not part["ok"] and part["kind"] not in ("partition", "processor"):
            yield _text(f"! {part['kind']} {part['name']}: {part['reason']}", "red")
    yield from _counts(each)
    if line := history.line(each["name"]):
        yield _text(f"lag {lag_of(each):,}  {line}")
    if each["partitions"]:
        yield _partitions(each["partitions"], each["left_out"].get("partitions", 0))
    if each["processors"]:
        yield _processors(each["processors"])
    if each["calls"] is not None and each["calls"]["oldest"]:
        yield _calls(each["calls"]["oldest"])
    for held in each["not_taken"][:MAX_RECENT]:
        place = f"{held['topic']} {held['partition']} offset {held['offset']}"
        text = f"! held for {held['for_s']:.0f} s: {place}, its {held['purpose']} to {held['to']}"
        yield _text(f"{text}: {held['why']}", "red")
    yield from _actors(each["tree"], 0)
    for event in each["recent"][-MAX_RECENT:]:
        error = f": {event['error']}" if event["error"] else ""
        ago_s = max(0.0, at - event["at"])
        yield _text(f"{ago_s:.0f} s ago {event['what']} {event['actor']}{error}", "yellow")


def _counts(each: ObjectDocument) -> Iterator[RenderableType]:
    counters = [f"{name} {count:,}" for name, count in each["counters"].items() if count]
    if counters:
        yield _text(", ".join(counters), "dim")
    if each["calls"] is not None:
        yield _text(f"{each['calls']['in_flight']} calls in flight")
    if each["sends"] is not None:
        yield _text(f"{each['sends']['waiting']} records wait for acknowledgements")


def _partitions(partitions: list[PartitionDocument], left_out: int) -> RenderableType:
    def order(each: PartitionDocument) -> tuple[bool, int]:
        return each["state"] in GOOD, -(each["lag"] or 0)

    table = _table("topic", "#", "state", "#lag", "#in flight", "#oldest", "#committed", "#end")
    for each in sorted(partitions, key=order)[:MAX_ROWS]:
        table.add_row(
            _text(each["topic"]),
            str(each["partition"]),
            _state(each["state"]),
            _number(each["lag"]),
            _number(each["in_flight"]),
            _seconds(each["oldest_s"]),
            _number(each["committed"]),
            _number(each["end"]),
        )
    more = max(0, len(partitions) - MAX_ROWS) + left_out
    return Group(table, _text(f"and {more} more partitions")) if more else table


def _processors(processors: list[ProcessorDocument]) -> Table:
    table = _table(
        *("processor", "#running", "#queued", "#oldest", "#median", "#99 %", "#finished"),
        *("#retries", "#failed", "#dead letters"),
    )
    for each in processors[:MAX_ROWS]:
        table.add_row(
            _text(each["name"]),
            _number(each["running"]),
            _number(each["queued"]),
            *(_seconds(each[name]) for name in ("oldest_s", "handler_p50_s", "handler_p99_s")),
            *(_number(each[name]) for name in ("finished", "retries", "failures", "dead_letters")),
        )
    return table


def _calls(calls: list[CallDocument]) -> Table:
    table = _table("oldest call", "id", "#age", "#left")
    for each in calls[:MAX_ROWS]:
        ages = _seconds(each["age_s"]), _seconds(each["left_s"])
        table.add_row(_text(each["topic"]), _text(each["id"]), *ages)
    return table


def _actors(actor: ActorDocument, depth: int) -> Iterator[RenderableType]:
    restarts = f", {actor['restarts']}x restarted" if actor["restarts"] else ""
    error = f": {actor['last_error']}" if actor["last_error"] else ""
    is_well = actor["state"] in ("running", "new", "stopped", "finished")
    style = "dim" if is_well and not error else "yellow"
    yield _text(f"{'  ' * depth}{actor['name']} {actor['state']}{restarts}{error}", style)
    for child in actor["children"]:
        yield from _actors(child, depth + 1)


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        is_number = title.startswith("#")
        name = title.lstrip("#") or "partition"
        table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    return table


def _text(text: str, style: str = "") -> Text:
    return Text(one_line(text), style)


def _state(state: str) -> Text:
    if state in GOOD:
        return _text(state, "green")
    return _text(f"! {state}", "bold red")


def _since(seconds: float | None) -> str:
    return "" if seconds is None else f" for {seconds:.0f} s"


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3g} s"
