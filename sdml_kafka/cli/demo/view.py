"""The demo as a live picture in a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table
from rich.text import Text

from sdml_kafka.cli.demo import trees
from sdml_kafka.cli.demo.closing import Closing
from sdml_kafka.cli.demo.scene import Line, MemberView, PartitionView, Scene
from sdml_kafka.cli.terminal import one_line
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
LEAST_LOG_HEIGHT = 6
FLOW_WIDTH = 28
WIDE = 110
"""From here on there is room for whole trees side by side."""


class LiveShow:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._live: Live | None = None

    def starting(self, text: str) -> None:
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(Text(one_line(text)))

    def line(self, line: Line) -> None:
        pass  # the next picture shows it

    def update(self, scene: Scene) -> None:
        if self._live is None:
            self._end_status()
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
        size = self._console.size
        self._live.update(picture(scene, size.width, size.height - 1), refresh=True)

    def close(self) -> None:
        self._end_status()
        if self._live is not None:
            self._live.stop()

    def books(self, closing: Closing) -> None:
        table = Table.grid(padding=(0, 3))
        table.add_column(no_wrap=True)
        table.add_column(justify="right")
        for label, count in closing.entries:
            style = "dim" if label.startswith(" ") and not count else ""
            table.add_row(label, f"{count:,}", style=style)
        tone = "green" if closing.is_good else "red"
        mark = "✔ " if closing.is_good else "✖ "
        evidence = [Text(one_line(text), style="red") for text in closing.evidence]
        self._console.print(
            Panel(
                Group(table, *evidence, Text(), Text(mark + closing.verdict, f"bold {tone}")),
                title="ledger",
                title_align="left",
                border_style=tone,
                box=box.ROUNDED,
                expand=False,
                padding=(0, 2),
            )
        )

    def _end_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def picture(scene: Scene, width: int, height: int) -> RenderableType:
    """At most `height` lines, if that is 23 or more."""
    log_height = height - HEADER_HEIGHT - PARTITIONS_HEIGHT - 2
    whole_height = TREE_HEIGHT + 2 + SERVER_TREE_HEIGHT + 2
    if width >= WIDE and log_height - whole_height >= LEAST_LOG_HEIGHT:
        trees_shown: list[RenderableType] = [
            _side_by_side([_tree(member, TREE_HEIGHT) for member in scene.members]),
            _side_by_side([_tree(caller, SERVER_TREE_HEIGHT) for caller in scene.callers]),
        ]
        log_height -= whole_height
    else:
        parts = (*scene.members, *scene.callers)
        trees_shown = [_trees_in_lines(parts)]
        log_height -= len(parts) + 2
    return Group(
        _header(scene),
        *trees_shown,
        _side_by_side([_partitions(scene.partitions), _flow(scene)], widths=[None, FLOW_WIDTH]),
        _log(scene.lines, max(3, log_height)),
    )


def _header(scene: Scene) -> RenderableType:
    top = Table.grid(expand=True)
    top.add_column(ratio=1, no_wrap=True)
    top.add_column(justify="right", no_wrap=True)
    broker = ("● broker up", "green") if scene.broker_is_up else ("✖ broker down", "bold red")
    top.add_row(Text(scene.title, style="bold"), Text(*broker))
    bottom = Table.grid(expand=True, padding=(0, 1))
    bottom.add_column(width=8, no_wrap=True)
    bottom.add_column(ratio=1)
    bottom.add_column(width=30, justify="right", no_wrap=True)
    done = min(scene.elapsed_s, scene.seconds)
    bottom.add_row(
        f"{scene.elapsed_s:5.1f} s",
        ProgressBar(total=scene.seconds, completed=done),
        Text(scene.coming, style="cyan"),
    )
    return Group(top, bottom)


def _tree(member: MemberView, height: int) -> Panel:
    is_away = member.tree is None
    body: RenderableType = Text(f"\n{member.state}", style="dim", justify="center")
    if member.tree is not None:
        body = table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(ratio=1, no_wrap=True)
        for _ in range(3):
            table.add_column(no_wrap=True)
        for row in trees.rows(member.tree):
            actor = row.actor
            state = STATES.get(actor.state, (f"○ {actor.state.value}", "dim"))
            guide = "" if not row.is_child else "  " * (row.depth - 1) + "├╰"[row.is_last] + " "
            table.add_row(
                Text.assemble((guide, "dim"), actor.name),
                Text(f"↻{actor.restarts}" if actor.restarts else "", style="yellow"),
                Text(trees.inbox(actor), style="dim"),
                Text(*state),
            )
    return _panel(
        body,
        f"{member.name} · {member.state}",
        style="dim" if is_away else "blue",
        height=height + 2,
        subtitle=None if is_away else "↻ restarts · inbox filled/size",
    )


def _trees_in_lines(parts: Sequence[MemberView]) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for part in parts:
        line = Text(part.state, style="dim") if part.tree is None else _tree_in_line(part.tree)
        table.add_row(part.name, line)
    return _panel(table, "actors", height=len(parts) + 2, subtitle="↻ restarts")


def _tree_in_line(tree: ActorSnapshot) -> Text:
    line = Text()
    for actor in trees.leaves(tree):
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
            # Its numbers are of the last one who read it, from before that one left.
            table.add_row(str(partition.number), "nobody", *"----", style="dim")
            continue
        table.add_row(
            str(partition.number),
            partition.owner,
            f"{status.position:,}",
            "-" if status.committed is None else f"{status.committed:,}",
            Text(
                "-" if status.lag is None else f"{status.lag:,}",
                style="yellow" if (status.lag or 0) > 100 else "",
            ),
            f"{status.in_flight:,}",
        )
    return _panel(table, "partitions", height=PARTITIONS_HEIGHT)


def _flow(scene: Scene) -> Panel:
    calls = scene.calls
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", ratio=1, no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_row("sent", f"{scene.sent:,}", f"{scene.sent_rate:,.0f}/s")
    table.add_row("finished", f"{scene.finished:,}", f"{scene.finished_rate:,.0f}/s")
    table.add_row("calls", f"{calls.made:,}", f"{calls.rate:,.0f}/s")
    table.add_row("in flight", f"{calls.in_flight:,}", "")
    latencies = Text(calls.latencies(), no_wrap=True)
    spark = sparkline(scene.history, FLOW_WIDTH - 6)
    return _panel(Group(table, latencies), "flow", height=PARTITIONS_HEIGHT, subtitle=spark)


def _log(lines: Sequence[Line], height: int) -> Panel:
    shown = lines[-height:]
    texts = [
        Text.assemble((f"{line.at_s:5.1f} s  ", "dim"), (one_line(line.text), TONES[line.tone]))
        for line in shown
    ]
    for text in texts:
        text.no_wrap, text.overflow = True, "ellipsis"
    return _panel(Group(*texts), "what happened", height=height + 2)


def sparkline(values: Sequence[float], width: int) -> str:
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
    parts: Sequence[RenderableType], widths: Sequence[int | None] | None = None
) -> Table:
    grid = Table.grid(expand=True)
    for width in widths or [None] * len(parts):
        grid.add_column(width=width, ratio=1 if width is None else None)
    grid.add_row(*parts)
    return grid
