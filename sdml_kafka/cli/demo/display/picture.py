"""Draws a frame as a picture that fits a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sdml_kafka.cli.demo.display import actor_rows
from sdml_kafka.cli.demo.display.frame import Frame, ParticipantView, PartitionView
from sdml_kafka.cli.demo.event_log import LogLine
from sdml_kafka.cli.progress import lag_text
from sdml_kafka.printable import one_line
from sdml_kafka.runtime import ActorSnapshot, ActorState

STATES = {
    ActorState.RUNNING: ("● running", "green"),
    ActorState.STARTING: ("◐ starting", "yellow"),
    ActorState.RESTARTING: ("◐ restarts", "yellow"),
    ActorState.CRASHED: ("✖ crashed", "bold red"),
}
TONES = {"good": "green", "bad": "red", "plain": ""}
BARS = "▁▂▃▄▅▆▇█"
TREE_HEIGHT = 4
SERVER_TREE_HEIGHT = 6
HEADER_HEIGHT = 2
PARTITIONS_HEIGHT = 7
MIN_LOG_HEIGHT = 6
FLOW_WIDTH = 28
WIDE = 110
"""The width from which on whole trees fit side by side."""


def picture(frame: Frame, width: int, height: int) -> RenderableType:
    """Return a picture of at most `height` lines, if `height` is 23 or more."""
    log_height = height - HEADER_HEIGHT - PARTITIONS_HEIGHT - 2
    whole_height = TREE_HEIGHT + 2 + SERVER_TREE_HEIGHT + 2
    if width >= WIDE and log_height - whole_height >= MIN_LOG_HEIGHT:
        tree_panels: list[RenderableType] = [
            _side_by_side([_tree(listener, TREE_HEIGHT) for listener in frame.listeners]),
            _side_by_side([_tree(caller, SERVER_TREE_HEIGHT) for caller in frame.callers]),
        ]
        log_height -= whole_height
    else:
        participants = (*frame.listeners, *frame.callers)
        tree_panels = [_trees_in_lines(participants)]
        log_height -= len(participants) + 2
    return Group(
        _header(frame),
        *tree_panels,
        _side_by_side([_partitions(frame.partitions), _flow(frame)], widths=[None, FLOW_WIDTH]),
        _log(frame.lines, max(3, log_height), frame.page),
    )


def _header(frame: Frame) -> RenderableType:
    top = Table.grid(expand=True)
    top.add_column(ratio=1, no_wrap=True)
    top.add_column(justify="right", no_wrap=True)
    broker = ("● broker up", "green") if frame.broker_is_up else ("✖ broker down", "bold red")
    top.add_row(Text(frame.title, style="bold"), Text(*broker))
    bottom = Table.grid(expand=True, padding=(0, 1))
    bottom.add_column(width=8, no_wrap=True)
    bottom.add_column(ratio=1)
    bottom.add_column(width=30, justify="right", no_wrap=True)
    done = min(frame.elapsed_s, frame.seconds)
    bottom.add_row(
        f"{frame.elapsed_s:5.1f} s",
        ProgressBar(total=frame.seconds, completed=done),
        Text(frame.announcement, style="cyan"),
    )
    return Group(top, bottom)


def _tree(participant: ParticipantView, height: int) -> Panel:
    is_away = participant.tree is None
    body: RenderableType = Text(f"\n{participant.state}", style="dim", justify="center")
    if participant.tree is not None:
        body = table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(ratio=1, no_wrap=True)
        for _ in range(3):
            table.add_column(no_wrap=True)
        for row in actor_rows.rows(participant.tree):
            actor = row.actor
            state = STATES.get(actor.state, (f"○ {actor.state.value}", "dim"))
            guide = "" if not row.is_child else "  " * (row.depth - 1) + "├╰"[row.is_last] + " "
            table.add_row(
                Text.assemble((guide, "dim"), actor.name),
                Text(f"↻{actor.restarts}" if actor.restarts else "", style="yellow"),
                Text(actor_rows.inbox(actor), style="dim"),
                Text(*state),
            )
    return _panel(
        body,
        f"{participant.name} · {participant.state}",
        style="dim" if is_away else "blue",
        height=height + 2,
        subtitle=None if is_away else "↻ restarts · inbox filled/size",
    )


def _trees_in_lines(participants: Sequence[ParticipantView]) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for participant in participants:
        tree = participant.tree
        line = Text(participant.state, style="dim") if tree is None else _tree_in_line(tree)
        table.add_row(participant.name, line)
    return _panel(table, "actors", height=len(participants) + 2, subtitle="↻ restarts")


def _tree_in_line(tree: ActorSnapshot) -> Text:
    line = Text()
    for actor in actor_rows.leaves(tree):
        state, style = STATES.get(actor.state, ("○", "dim"))
        line.append(state[0], style).append(actor.name)
        if actor.restarts:
            line.append(f"↻{actor.restarts}", "yellow")
        line.append(" ")
    return line


def _partitions(partitions: Sequence[PartitionView]) -> Panel:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("read by", no_wrap=True)
    for name in ("position", "committed", "lag", "in flight"):
        table.add_column(name, justify="right", no_wrap=True)
    for partition in partitions:
        status = partition.status
        if partition.owner is None:
            # The last known numbers are out of date, so they are not shown.
            table.add_row(str(partition.number), "nobody", *"----", style="dim")
            continue
        table.add_row(
            str(partition.number),
            partition.owner,
            f"{status.position:,}",
            "-" if status.committed is None else f"{status.committed:,}",
            Text(
                "-" if status.lag is None else lag_text([status]),
                style="yellow" if (status.lag or 0) > 100 else "",
            ),
            f"{status.in_flight:,}",
        )
    return _panel(table, "partitions", height=PARTITIONS_HEIGHT)


def _flow(frame: Frame) -> Panel:
    calls = frame.calls
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", ratio=1, no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_row("sent", f"{frame.sent:,}", f"{frame.sent_rate:,.0f}/s")
    table.add_row("finished", f"{frame.finished:,}", f"{frame.finished_rate:,.0f}/s")
    table.add_row("calls", f"{calls.made:,}", f"{calls.rate:,.0f}/s")
    table.add_row("in flight", f"{calls.in_flight:,}", "")
    latencies = Text(calls.latencies(), no_wrap=True)
    spark = sparkline(frame.history, FLOW_WIDTH - 6)
    return _panel(Group(table, latencies), "flow", height=PARTITIONS_HEIGHT, subtitle=spark)


def _log(lines: Sequence[LogLine], height: int, page: str | None) -> Panel:
    shown = lines[-height:]
    texts = [
        Text.assemble((f"{line.at_s:5.1f} s  ", "dim"), (one_line(line.text), TONES[line.tone]))
        for line in shown
    ]
    for text in texts:
        text.no_wrap, text.overflow = True, "ellipsis"
    subtitle = None if page is None else f"live page: {page}"
    return _panel(Group(*texts), "what happened", height=height + 2, subtitle=subtitle)


def sparkline(values: Sequence[float], width: int) -> str:
    """Return the last `width` values as bars."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    if top <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[round(max(0.0, value) / top * (len(BARS) - 1))] for value in shown)


def _panel(
    body: RenderableType,
    title: str,
    *,
    height: int,
    style: str = "blue",
    subtitle: str | None = None,
) -> Panel:
    return Panel(
        body,
        title=title,
        title_align="left",
        border_style=style,
        box=box.ROUNDED,
        height=height,
        subtitle=subtitle and Text(subtitle, style="dim"),
        subtitle_align="right",
    )


def _side_by_side(
    panels: Sequence[RenderableType], widths: Sequence[int | None] | None = None
) -> Table:
    grid = Table.grid(expand=True)
    for width in widths or [None] * len(panels):
        grid.add_column(width=width, ratio=1 if width is None else None)
    grid.add_row(*panels)
    return grid
