"""Find clocks that differ, and records with times that cannot be. Pure."""

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.cli.doctor.rules.finding import Findings, error, note, some, warning

MAX_DIFFERENCE_S = 1.0
BAD_DIFFERENCE_S = 60.0
FUTURE_MS = 60_000


def check_clock(facts: Facts) -> Findings:
    """Compare our clock with that of the active controller."""
    if (clock := facts.clock) is None:
        if facts.overview is not None and facts.quorum_failure is None:
            yield note(
                "clock-unknown",
                "the clock",
                "it could not be compared with a broker's",
                "this needs Kafka 3.3 without ZooKeeper, and the right DESCRIBE on the cluster; "
                "compare the clocks by hand (chronyc tracking)",
            )
        return
    difference = abs(clock.ahead_s) - clock.within_s
    if difference <= MAX_DIFFERENCE_S:
        return
    direction = "ahead of" if clock.ahead_s > 0 else "behind"
    yield (error if difference > BAD_DIFFERENCE_S else warning)(
        "clock-difference",
        "the clock",
        f"the controller's is {abs(clock.ahead_s):.1f} s {direction} this machine's "
        f"(give or take {clock.within_s:.3f} s)",
        "synchronise both (chrony, NTP): deadlines of calls, retry topics and retention count "
        "from the times that records carry",
    )


def check_record_times(facts: Facts) -> Findings:
    """Find partitions with records from the future."""
    ahead_ms = 0.0 if facts.clock is None else facts.clock.ahead_s * 1000
    now_ms = facts.now_ms + ahead_ms
    late = [
        f"{key.topic} {key.partition} ({(place.time_ms - now_ms) / 1000:,.0f} s)"
        for key, place in facts.latest.items()
        if place.time_ms > now_ms + FUTURE_MS
    ]
    if late:
        yield warning(
            "records-from-the-future",
            "topic partitions",
            f"{some(late)}: the latest record has a time that is yet to come",
            "check the clocks and `timestamp_ms` of whoever sends there: such segments are deleted "
            "late, and what looks for times finds the wrong place",
        )
