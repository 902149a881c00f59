"""The demo as plain lines, for pipes, files and CI: ASCII, and no control characters."""

from collections.abc import Sequence

from sdml_kafka.cli.demo import trees
from sdml_kafka.cli.demo.closing import Closing
from sdml_kafka.cli.demo.scene import Line, MemberView, Scene
from sdml_kafka.cli.terminal import one_line

LINE_EVERY_S = 2.0


class PlainShow:
    def __init__(self) -> None:
        self._next_at_s = 0.0
        self._scene: Scene | None = None

    def starting(self, text: str) -> None:
        self._print(text)

    def line(self, line: Line) -> None:
        self._print(f"{line.at_s:5.1f} s  * {line.text}")

    def update(self, scene: Scene) -> None:
        if self._scene is None:
            self._print(scene.title)
        self._scene = scene
        if scene.elapsed_s >= self._next_at_s > 0:
            self._print(summary(scene))
            self._print(calls_summary(scene))
        if scene.elapsed_s >= self._next_at_s:
            # The tree once it stands; as it changes, the lines tell.
            if self._next_at_s == 0 and scene.elapsed_s > 0:
                self._print_trees((*scene.members, *scene.callers))
            self._next_at_s += LINE_EVERY_S if scene.elapsed_s > 0 else 0

    def close(self) -> None:
        if self._scene is not None:
            self._print_trees((*self._scene.members, *self._scene.callers))
            self._scene = None

    def books(self, closing: Closing) -> None:
        self._print("ledger")
        for label, count in closing.entries:
            self._print(f"  {label:<38} {count:>9,}")
        for text in closing.evidence:
            self._print(f"  {text}")
        self._print(closing.verdict)

    def _print_trees(self, members: Sequence[MemberView]) -> None:
        for member in members:
            self._print(f"{member.name} ({member.state})")
            if member.tree is not None:
                for row in trees.rows(member.tree):
                    actor = row.actor
                    inbox = trees.inbox(actor)
                    notes = [actor.state.value, trees.restarts(actor), inbox and f"inbox {inbox}"]
                    name = "  " * row.depth + actor.name
                    self._print(f"  {name:<22} {'  '.join(filter(None, notes))}")

    def _print(self, text: str) -> None:
        print(one_line(text).replace("·", "-"), flush=True)


def summary(scene: Scene) -> str:
    """The moment in one line."""
    members = ", ".join(
        f"{member.name} {member.partition_count}" if member.tree else f"{member.name} away"
        for member in scene.members
    )
    broker = "" if scene.broker_is_up else "  BROKER DOWN"
    return (
        f"{scene.elapsed_s:5.1f} s    sent {scene.sent:,} ({scene.sent_rate:,.0f}/s)  "
        f"finished {scene.finished:,} ({scene.finished_rate:,.0f}/s)  lag {scene.lag:,}  "
        f"in flight {scene.in_flight:,}  partitions: {members}{broker}"
    )


def calls_summary(scene: Scene) -> str:
    """The calls in one line, below the other."""
    calls = scene.calls
    return (
        f"           calls {calls.made:,} ({calls.rate:,.0f}/s)  {calls.latencies()}  "
        f"in flight {calls.in_flight:,}"
    )
