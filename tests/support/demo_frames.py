"""Frames of the demo to show, with everything in them that a display has to cope with."""

from sdml_kafka import PartitionStatus
from sdml_kafka.cli.demo.books.final_report import FinalReport
from sdml_kafka.cli.demo.display.frame import CallsView, Frame, ParticipantView, PartitionView
from sdml_kafka.cli.demo.event_log import LogLine
from sdml_kafka.runtime import ActorSnapshot, ActorState

FINAL_REPORT = FinalReport(
    (("sent", 5), ("lost", 0), ("  rebalance", 0)), ("lost: a",), "balanced", True
)


def partition_status(
    *,
    position: int = 20,
    lag: int | None = 5,
    in_flight: int = 3,
    held: str | None = None,
    lag_age_s: float | None = None,
) -> PartitionStatus:
    return PartitionStatus(
        position=position,
        committed=10,
        high_watermark=25,
        lag=lag,
        in_flight=in_flight,
        frontier_age_s=0.1,
        held=held,
        lag_age_s=lag_age_s,
    )


def actor(
    name: str, state: ActorState, restarts: int, capacity: int, *children: ActorSnapshot
) -> ActorSnapshot:
    return ActorSnapshot(name, state, restarts, None, 0, capacity, 1.0, children)


def tree() -> ActorSnapshot:
    children = (
        actor("consumer-loop", ActorState.RESTARTING, 1, 0),
        actor("dispatcher", ActorState.RUNNING, 1, 1),
        actor("commit-scheduler", ActorState.STOPPED, 0, 0),
    )
    return actor("listener", ActorState.RUNNING, 0, 0, *children)


def server_tree() -> ActorSnapshot:
    names = ("workers", "consumer-loop", "commit-scheduler")
    requests = [actor(name, ActorState.RUNNING, 0, 0) for name in names]
    children = (
        actor("sender", ActorState.CRASHED, 2, 0),
        actor("requests", ActorState.RUNNING, 0, 0, *requests),
    )
    return actor("server", ActorState.RUNNING, 0, 0, *children)


def frame(elapsed_s: float = 4.0) -> Frame:
    return Frame(
        title="sdml-kafka demo · somewhere",
        elapsed_s=elapsed_s,
        seconds=20.0,
        announcement="an actor crashes in 2 s",
        broker_is_up=False,
        listeners=(
            ParticipantView("ada", "in the group", tree(), 2),
            ParticipantView("bob", "away", None, 0),
        ),
        callers=(
            ParticipantView("client", "away", None, 0),
            ParticipantView("server 1", "serves", server_tree(), 2),
            ParticipantView("server 2", "serves", server_tree(), 2),
        ),
        partitions=(
            PartitionView(0, "ada", partition_status()),
            PartitionView(1, None, partition_status(lag=900, in_flight=77)),
        ),
        sent=1234,
        finished=1200,
        sent_rate=100.0,
        finished_rate=90.0,
        history=(0.0, 50.0, 100.0),
        calls=CallsView(made=777, rate=55.0, in_flight=8, p50_ms=2.25, p99_ms=1234.5),
        lines=tuple(LogLine(number / 10, f"line {number} \x1b[31m", "bad") for number in range(40)),
    )
