"""Find time-outs of ours, of the brokers and of the group that contradict each other. Pure."""

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.cli.doctor.rules.finding import (
    Findings,
    duration,
    error,
    note,
    number_of,
    warning,
)

BEATS = 3
"""Heartbeats that fit into a session, so that two may be lost."""
_MINUTE_MS = 60_000


def check_sessions(facts: Facts) -> Findings:
    """Compare our session with our heartbeats, our polls, and what the brokers allow."""
    ours = facts.ours
    session_ms = ours.number("session_timeout_ms")
    beat_ms = ours.number("heartbeat_interval_ms")
    about = "our listeners"
    low, high = (
        number_of(facts.settings, f"group.{each}.session.timeout.ms") for each in ("min", "max")
    )
    if low is not None and high is not None and not low <= session_ms <= high:
        yield error(
            "session-refused",
            about,
            f"session_timeout_ms is {session_ms:,}, and the brokers allow {low:,} to {high:,} "
            "(group.min.session.timeout.ms, group.max.session.timeout.ms): nobody can join",
            f"set session_timeout_ms to something between, such as {min(max(10_000, low), high)}",
        )
    if beat_ms >= session_ms > 0:
        yield error(
            "heartbeats-refused",
            about,
            f"heartbeat_interval_ms ({beat_ms:,}) is not less than session_timeout_ms "
            f"({session_ms:,}): listeners refuse that",
            f"set heartbeat_interval_ms to {session_ms // BEATS} or less",
        )
    elif beat_ms * BEATS > session_ms:
        yield warning(
            "heartbeats-few",
            about,
            f"a heartbeat every {beat_ms:,} ms (heartbeat_interval_ms) in a session of "
            f"{session_ms:,} ms (session_timeout_ms): two that are late cost the membership",
            f"set heartbeat_interval_ms to {session_ms // BEATS} or less",
        )
    poll_ms = ours.number("max_poll_interval_ms")
    if 0 < poll_ms < session_ms:
        yield warning(
            "polls-shorter-than-session",
            about,
            f"max_poll_interval_ms ({poll_ms:,}) is shorter than session_timeout_ms "
            f"({session_ms:,}): a member whose event loop stands still leaves before one that is "
            "dead is missed",
            f"set max_poll_interval_ms to more than {session_ms}; a handler may take longer than "
            "that, since polling goes on beside it",
        )
    drain_ms = ours.number("rebalance_timeout_ms")
    if 0 < drain_ms < session_ms:
        yield warning(
            "drain-short",
            about,
            f"rebalance_timeout_ms ({drain_ms:,}) is shorter than session_timeout_ms "
            f"({session_ms:,}): members are expelled that finish what they have in hand",
            "set rebalance_timeout_ms to the time in which handlers surely finish",
        )


def check_new_sessions(facts: Facts) -> Findings:
    """Compare the session of a group with KIP-848 with its heartbeats; both are the brokers'."""
    group = facts.group
    if group is None or not group.looks or group.looks[-1].group.kind != "consumer":
        return
    values = dict[str, str]() if group.config is None else group.config.values
    session_ms = number_of(values, "consumer.session.timeout.ms")
    beat_ms = number_of(values, "consumer.heartbeat.interval.ms")
    if session_ms is None or beat_ms is None:
        session_ms = number_of(facts.settings, "group.consumer.session.timeout.ms")
        beat_ms = number_of(facts.settings, "group.consumer.heartbeat.interval.ms")
    if session_ms is not None and beat_ms is not None and beat_ms * BEATS > session_ms:
        yield warning(
            "heartbeats-few",
            f"group {group.name}",
            f"a heartbeat every {beat_ms:,} ms in a session of {session_ms:,} ms: two that are "
            "late cost the membership",
            f"kafka-configs --group {group.name} --alter --add-config "
            f"consumer.heartbeat.interval.ms={session_ms // BEATS}",
        )


def check_connections(facts: Facts) -> Findings:
    """Find brokers that close idle connections before we do."""
    theirs = number_of(facts.settings, "connections.max.idle.ms")
    ours = facts.ours.number("connections_max_idle_ms")
    if theirs is not None and 0 < theirs <= ours:
        yield warning(
            "idle-connections",
            "our clients",
            f"the brokers close idle connections after {theirs:,} ms (connections.max.idle.ms), "
            f"and we after {ours:,} (connections_max_idle_ms): a request may meet the end",
            f"set connections_max_idle_ms to less than {theirs}",
        )
    wait_ms, limit_ms = (
        facts.ours.number(each) for each in ("fetch_max_wait_ms", "request_timeout_ms")
    )
    if 0 < limit_ms <= wait_ms:
        yield error(
            "requests-refused",
            "our clients",
            f"fetch_max_wait_ms ({wait_ms:,}) is not less than request_timeout_ms ({limit_ms:,}): "
            "listeners refuse that",
            "raise request_timeout_ms to several times fetch_max_wait_ms",
        )
    elif 0 < limit_ms < 2 * wait_ms:
        yield warning(
            "requests-short",
            "our clients",
            f"request_timeout_ms ({limit_ms:,}) leaves little beside fetch_max_wait_ms "
            f"({wait_ms:,}): a broker that is slow looks like one that is away",
            "raise request_timeout_ms to several times fetch_max_wait_ms",
        )


def check_transactions(facts: Facts) -> Findings:
    """Compare the time of a transaction with what the brokers allow."""
    most = number_of(facts.settings, "transaction.max.timeout.ms")
    ours = facts.ours.number("transaction_timeout_ms")
    if most is not None and ours > most:
        yield error(
            "transactions-refused",
            "our producers",
            f"transaction_timeout_ms is {ours:,}, and the brokers allow {most:,} "
            "(transaction.max.timeout.ms)",
            f"set transaction_timeout_ms to {most} or less",
        )


def check_offsets_retention(facts: Facts) -> Findings:
    """Find topics that keep records for longer than the brokers keep the place of a group."""
    minutes = number_of(facts.settings, "offsets.retention.minutes")
    if facts.group is None or minutes is None:
        return
    for name, config in facts.configs.items():
        kept_ms = number_of(config.values, "retention.ms")
        if "delete" in config.values.get("cleanup.policy", "") and (
            kept_ms is None or kept_ms > minutes * _MINUTE_MS
        ):
            kept = "for ever" if kept_ms is None else f"for {duration(kept_ms)}"
            yield note(
                "offsets-expire",
                f"topic {name}",
                f"it keeps records {kept}, and what a group without members has committed is "
                f"forgotten after {duration(minutes * _MINUTE_MS)} (offsets.retention.minutes)",
                "a group that is away for longer begins where auto_offset_reset says: set that to "
                "earliest, or raise offsets.retention.minutes",
            )
