"""Judge whether an object does its work, and say why it does not.

How this works. `judge` looks at the life of the object first: what has failed is not live, what
does not run is not ready. For an object that runs it makes parts, and the worst is the state of the
object. The partitions and processors are always among the parts, the rest only in trouble.

Rules for whoever edits this file:

- A reason names the record, the topic or the option, and says what to do. It is made of what the
  program knows, and never of a record's contents.
- What passes by itself in a moment is no trouble: a limit says how long it may last.
- A topic that does not exist is trouble, but an object that reads others as well stays ready: its
  other work goes on, and taking it out of service would create no topic.
"""

from collections.abc import Iterator, Mapping, Sequence

from sdml_kafka.health.facts import (
    Facts,
    GroupFacts,
    Limits,
    NotTaken,
    PartitionFacts,
    PartitionValues,
)
from sdml_kafka.health.verdicts import Health, PartHealth, State, rank
from sdml_kafka.plurals import counted
from sdml_kafka.runtime.snapshot import ActorSnapshot, ActorState
from sdml_kafka.transport.interfaces.records import TopicPartition

SILENT_S = 12.0
"""Seconds after which a broker should have answered. One that does names the end of each partition
every ten seconds at least, since it is asked if nothing is fetched."""

ADVICE: Mapping[str, str] = {
    "loop": "is the stream read on?",
    "handler": "do those that run have a timeout?",
}
"""The questions to whoever has records that are not taken."""

NAMED = "partition", "processor", "actor", "topic"
"""The kinds of parts that a reason for the whole names."""

UNACKNOWLEDGED_S = 10.0
"""Seconds after which one of the records that a producer sends should have been acknowledged."""


def judge(facts: Facts, limits: Limits) -> Health:
    """Return the health of an object."""
    failure = facts.failure or facts.tree.last_error
    if facts.state == "forked":
        return Health(False, False, "failed", f"this {facts.what} belongs to another process")
    if failure is not None:
        again = "" if facts.state != "new" else ", and may be entered again"
        text = f"the {facts.what} has ended with an error{again}: {failure}"
        return Health(False, False, "failed", text)
    if facts.state == "new":
        return Health(True, False, "new", f"the {facts.what} has not been entered")
    if facts.state == "closed":
        return Health(True, False, "ended", f"the {facts.what} was left")
    parts = tuple(_parts(facts, limits))
    if facts.state == "starting":
        return _starting(facts, parts)
    worst = max(parts, key=lambda part: rank(part.state))
    is_ready = all(part.ok or (facts.has_topic and part.kind == "topic") for part in parts)
    if worst.state in ("idle", "moving") and facts.partitions:
        lag = sum(each.status.lag or 0 for each in facts.partitions)
        read = counted(len(facts.partitions), "partition")
        reason = f"{read} read, {counted(lag, 'record')} unfinished"
    else:
        of_several = f"{worst.name}: " if worst.kind in NAMED else ""
        reason = f"{of_several}{worst.reason}"
    return Health(True, is_ready, worst.state, reason, worst.since_s, parts)


def _starting(facts: Facts, parts: Sequence[PartHealth]) -> Health:
    for part in parts:
        if part.kind == "broker":
            return Health(True, False, part.state, part.reason, part.since_s, tuple(parts))
    obstacle = "" if facts.group is None else facts.group.obstacle
    reason = f"the {facts.what} is being entered{obstacle and ': '}{obstacle}"
    return Health(True, False, "starting", reason, facts.tree.age_s, tuple(parts))


def _parts(facts: Facts, limits: Limits) -> Iterator[PartHealth]:
    away = _broker(facts, limits)
    if away is not None:
        yield away
    if facts.group is not None and facts.group.group_id:  # else it has not begun to join
        yield from _group(
            facts.group, lacks_topics=bool(facts.missing_topics) and not facts.has_topic
        )
    yield from _actors(facts.tree, ())
    for topic, hint in facts.missing_topics.items():
        text = f"the topic does not exist; it is read as soon as it does{hint}"
        since_s = facts.missing_s.get(topic)
        yield PartHealth("topic", topic, "topic missing", text, since_s)
    not_taken = _first_of_each(facts.not_taken)
    for partition in facts.partitions:
        yield _partition(partition, not_taken.get(partition.key), away, limits)
    for name, processor in facts.processors.items():
        age_s = processor.oldest_s
        state: State = "moving" if processor.running or processor.queued else "idle"
        running = counted(processor.running, "handler")
        text = f"{running} running, {counted(processor.queued, 'record')} waiting"
        if age_s is not None and age_s >= limits.stuck_after_s:
            state = "stuck"
            text = f"a handler has run for {age_s:.0f} s: does what it waits for have a timeout?"
        yield PartHealth("processor", name, state, text, age_s)
    yield from _under_way(facts, limits)


def _under_way(facts: Facts, limits: Limits) -> Iterator[PartHealth]:
    for kind, count in facts.under_way.items():
        is_calls = kind == "calls"
        what = counted(count, "call" if is_calls else "record")
        waiting = "waiting for a reply" if is_calls else "waiting for an acknowledgement"
        yield PartHealth(kind, kind, "moving" if count else "idle", f"{what} {waiting}")
    if facts.waits_for is not None and facts.waits_for_s >= limits.away_after_s:
        text = f"{facts.waits_for}. It is tried again until its call ends"
        yield PartHealth("calls", "replies", "held", text, facts.waits_for_s)
    if facts.silent_s is not None and facts.silent_s >= UNACKNOWLEDGED_S:
        text = f"for {facts.silent_s:.0f} s no record was acknowledged: is a broker frozen?"
        yield PartHealth("sends", "acknowledgements", "stuck", text, facts.silent_s)


def _broker(facts: Facts, limits: Limits) -> PartHealth | None:
    if facts.away_s is None or facts.away_s < limits.away_after_s:
        return None
    why = f": {facts.away_why}" if facts.away_why else ""
    text = f"no broker can be reached{why}. It is tried again and again"
    return PartHealth("broker", "brokers", "broker away", text, facts.away_s)


def _group(group: GroupFacts, *, lacks_topics: bool) -> Iterator[PartHealth]:
    if not group.is_member:
        again = " again" if group.was_member else ""
        why = group.obstacle or "a rebalance waits until each member has drained or timed out"
        text = f"this member joins its group{again}, and reads nothing meanwhile: {why}"
        yield PartHealth("group", group.group_id, "rejoining", text, group.since_s)
    elif not group.partitions:
        text = "the group has given this member no partition: "
        if lacks_topics:
            text += "none of its topics exists"
        else:
            text += (
                "it has as many members as partitions, or more. This one takes over when another "
                "ends"
            )
        yield PartHealth("group", group.group_id, "no partitions", text, group.since_s)


def _actors(actor: ActorSnapshot, above: tuple[str, ...]) -> Iterator[PartHealth]:
    path = (*above, actor.name)
    if above and actor.state in (ActorState.CRASHED, ActorState.RESTARTING, ActorState.STARTING):
        yield _restarting(actor, "/".join(path))
    for child in actor.children:
        yield from _actors(child, path)


def _restarting(actor: ActorSnapshot, path: str) -> PartHealth:
    if actor.state is ActorState.STARTING and not actor.restarts:
        return PartHealth("actor", path, "starting", "it starts", actor.age_s)
    why = f", last for {actor.last_error}" if actor.last_error else ""
    text = f"it is being restarted{why}; restarts so far: {actor.restarts}"
    return PartHealth("actor", path, "restarting", text)


def _first_of_each(not_taken: Sequence[NotTaken]) -> dict[TopicPartition, NotTaken]:
    """Return the one with the lowest offset of each partition."""
    firsts: dict[TopicPartition, NotTaken] = {}
    for each in sorted(not_taken, key=lambda each: each.offset):
        firsts.setdefault(TopicPartition(each.topic, each.partition), each)
    return firsts


def _partition(
    facts: PartitionFacts, not_taken: NotTaken | None, away: PartHealth | None, limits: Limits
) -> PartHealth:
    state, reason, since_s = (
        _blocked(facts, not_taken, limits)
        or _overdue(facts, away, limits)
        or _silent(facts, away)
        or _as_usual(facts)
    )
    name = f"{facts.key.topic} {facts.key.partition}"
    return PartHealth("partition", name, state, reason, since_s)


Judged = tuple[State, str, float | None]


def _blocked(facts: PartitionFacts, not_taken: NotTaken | None, limits: Limits) -> Judged | None:
    """Judge what holds a partition, None if nothing does."""
    if not_taken is not None:
        what, to = not_taken.purpose, not_taken.to
        why = not_taken.why.rstrip(".")
        text = (
            f"record {not_taken.offset} is held, since its {what} is not taken by {to!r}: "
            f"{why}. It is sent again every 15 s at least: make {to!r} take it"
        )
        return "dead letter not taken", text, not_taken.for_s
    if facts.status.held is not None:
        text = f"{facts.status.held}. Skip it with on_corrupt='skip', or seek behind it"
        return "held", text, None
    waits_for, waits_s = facts.status.waits_for, facts.status.waits_for_s
    if waits_for is not None and waits_s >= limits.away_after_s:
        return "held", f"{waits_for}. It is tried again and again, and nothing is skipped", waits_s
    if facts.is_draining:
        in_hand = counted(facts.status.in_hand, "record")
        text = f"it is being taken away, and what is in hand finishes first ({in_hand})"
        return "draining", text, None
    return None


def _overdue(facts: PartitionFacts, away: PartHealth | None, limits: Limits) -> Judged | None:
    """Judge a partition in which nothing has moved for too long, None if it is not so."""
    status, age_s = facts.status, facts.status.frontier_age_s
    if status.in_flight and age_s >= limits.stuck_after_s and not facts.may_wait:
        if status.in_hand:
            return _stuck(facts, away)
        # Partitions take turns, so that one waits for long if each record takes long.
        waits_s = min(age_s, facts.untaken_s)
        if waits_s >= limits.stuck_after_s:
            text = f"record {status.frontier} has waited for {waits_s:.0f} s for a {facts.taker}"
            hint = ADVICE[facts.taker]
            return "unread", f"{text} to take it, and none was taken meanwhile: {hint}", waits_s
    is_waiting = not status.in_flight and bool(status.lag or status.parsing)
    if is_waiting and facts.is_read and not status.paused and facts.unmoved_s >= _fetch_s(limits):
        if status.parsing:
            text = f"a parser has {counted(status.parsing, 'record')} of it, and has not returned"
        else:
            text = f"{_waiting(status)}, and nothing of it is fetched"
        return "stuck", text, facts.unmoved_s
    return None


def _stuck(facts: PartitionFacts, away: PartHealth | None) -> Judged:
    """Judge a partition whose lowest unfinished record is in hand for too long."""
    seconds, offset = facts.status.frontier_age_s, facts.status.frontier
    if facts.is_handled:
        text = (
            f"record {offset} has been in hand for {seconds:.0f} s, and nothing behind it is "
            "committed: does the work on it have a timeout?"
        )
        return "stuck", text, seconds
    if (silent := _silent(facts, away)) is not None:
        return silent
    text = (
        f"record {offset} has been in hand for {seconds:.0f} s: what was sent for it is not "
        "acknowledged: does the broker answer that has the topic of that?"
    )
    return "stuck", text, seconds


def _fetch_s(limits: Limits) -> float:
    # A fetch may take its time: of a large batch over a slow network.
    return max(limits.stuck_after_s, SILENT_S)


def _silent(facts: PartitionFacts, away: PartHealth | None) -> Judged | None:
    """Judge a partition whose broker does not answer, None if it does."""
    if away is not None:
        return "broker away", "no broker can be reached; see the part of the brokers", away.since_s
    age_s = facts.status.lag_age_s
    if age_s is not None and age_s >= SILENT_S:
        text = f"its broker has not answered for {age_s:.0f} s: is it frozen, or cut off?"
        return "broker away", text, age_s
    return None


def _as_usual(facts: PartitionFacts) -> Judged:
    status = facts.status
    if status.paused:
        return "paused", f"the program has paused it; {_waiting(status)}", None
    if status.in_flight and facts.may_wait:
        return "waiting", f"its records wait until they are due, from {status.frontier} on", None
    if status.in_flight:
        text = f"{counted(status.in_flight, 'record')} in flight, from {status.frontier} on"
        return "moving", text, status.frontier_age_s
    if not status.lag and not status.parsing:
        return "idle", f"all has finished up to {status.frontier}", None
    if not facts.is_read:
        return "waiting", f"no stream or processor reads it now; {_waiting(status)}", None
    return "moving", _waiting(status), None


def _waiting(status: PartitionValues) -> str:
    """Return how many records wait to be read, and from where on."""
    lag = "an unknown number of records" if status.lag is None else counted(status.lag, "record")
    return f"{lag} waiting from offset {status.position} on"
