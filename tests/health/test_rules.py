"""What counts as live and ready, and what is said of each kind of trouble."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka import ConfigurationError, Held, TopicPartition
from sdml_kafka.consuming.status import PartitionStatus
from sdml_kafka.health.facts import Facts, GroupFacts, Limits, PartitionFacts, Sightings
from sdml_kafka.health.rules import judge
from sdml_kafka.health.standing import Outage, Silence, Standing, Standstill
from sdml_kafka.health.verdicts import Health
from sdml_kafka.runtime import ActorSnapshot, ActorState

P3 = TopicPartition("orders", 3)
LIMITS = Limits(stuck_after_s=60, away_after_s=1)
IDLE = PartitionStatus(20, 20, 20, 0, 0, 0.0, None, lag_age_s=0.2, frontier=20)
BUSY = PartitionStatus(20, 17, 20, 3, 3, 5.0, None, lag_age_s=0.2, frontier=17, in_hand=1)
MEMBER = GroupFacts("billing", True, 10.0, 1, True)


@frozen
class Processor:
    running: int = 0
    queued: int = 0
    oldest_s: float | None = None


def tree(state: ActorState = ActorState.RUNNING, error: str | None = None) -> ActorSnapshot:
    def actor(name: str, state: ActorState, error: str | None, *below: ActorSnapshot) -> Any:
        return ActorSnapshot(name, state, 2, error, 0, 0, 1.0, below)

    child: ActorSnapshot = actor("consumer-loop", state, error)
    root: ActorSnapshot = actor("listener", ActorState.RUNNING, None, child)
    return root


def facts(status: PartitionStatus = IDLE, **partition: Any) -> Facts:
    partitions = [PartitionFacts(P3, status, **partition)]
    return Facts("listener", "running", tree(), group=MEMBER, partitions=partitions)


def state_of(health: Health) -> tuple[bool, bool, str]:
    return health.live, health.ready, health.state


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (True, True, "idle")),
        ({"state": "new"}, (True, False, "new")),
        ({"state": "starting"}, (True, False, "starting")),
        ({"state": "closed"}, (True, False, "ended")),
        ({"state": "closed", "failure": "ValueError: no"}, (False, False, "failed")),
        ({"state": "new", "failure": "BrokerUnreachable: no"}, (False, False, "failed")),
        ({"state": "forked"}, (False, False, "failed")),
        ({"away_s": 0.9}, (True, True, "idle")),
        ({"away_s": 1.0}, (True, False, "broker away")),
        ({"group": evolve(MEMBER, is_member=False)}, (True, False, "rejoining")),
        ({"group": evolve(MEMBER, partitions=0), "partitions": ()}, (True, True, "no partitions")),
        ({"missing_topics": {"order": ""}}, (True, False, "topic missing")),
        ({"tree": tree(ActorState.RESTARTING, "E: x")}, (True, False, "restarting")),
        ({"processors": {"charge": Processor(1, 0, 61.0)}}, (True, False, "stuck")),
        ({"processors": {"charge": Processor(1, 0, 59.0)}}, (True, True, "moving")),
    ],
)
def test_the_state_of_a_listener(
    change: Mapping[str, Any], expected: tuple[bool, bool, str]
) -> None:
    assert state_of(judge(evolve(facts(), **change), LIMITS)) == expected


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        (IDLE, {}, "idle"),
        (BUSY, {}, "moving"),
        (evolve(BUSY, frontier_age_s=60.0), {}, "stuck"),
        (evolve(BUSY, frontier_age_s=60.0, in_hand=0), {}, "unread"),
        (evolve(BUSY, frontier_age_s=60.0, in_hand=0), {"may_wait": True}, "waiting"),
        (evolve(BUSY, frontier_age_s=60.0), {"is_draining": True}, "draining"),
        (evolve(IDLE, lag=5), {}, "moving"),
        (evolve(IDLE, lag=5), {"unmoved_s": 60.0}, "stuck"),
        (evolve(IDLE, lag=5), {"unmoved_s": 60.0, "is_read": False}, "waiting"),
        (evolve(IDLE, lag=5, paused=True), {"unmoved_s": 60.0}, "paused"),
        (evolve(IDLE, lag=0, parsing=1), {"unmoved_s": 60.0}, "stuck"),
        (evolve(IDLE, lag_age_s=12.0), {}, "broker away"),
        (evolve(IDLE, held="a batch does not decode"), {}, "held"),
    ],
)
def test_the_state_of_a_partition(
    status: PartitionStatus, more: Mapping[str, Any], expected: str
) -> None:
    health = judge(facts(status, **more), LIMITS)
    (part,) = [part for part in health.parts if part.kind == "partition"]
    assert (part.name, part.state) == ("orders 3", expected)
    assert health.state == expected
    assert health.ready is part.ok


def test_a_stuck_record_is_named_with_its_age() -> None:
    health = judge(facts(evolve(BUSY, frontier_age_s=75.2)), LIMITS)
    assert health.reason.startswith("orders 3: record 17 has been in hand for 75 s")
    assert health.since_s == 75.2


@pytest.mark.parametrize(
    ("lag", "parsing", "reason"),
    [
        (1, 0, "1 record waiting from offset 20 on, and nothing of it is fetched"),
        (None, 2, "a parser has 2 records of it, and has not returned"),
    ],
)
def test_what_does_not_move_is_counted(lag: int | None, parsing: int, reason: str) -> None:
    health = judge(facts(evolve(IDLE, lag=lag, parsing=parsing), unmoved_s=60.0), LIMITS)
    assert health.reason == f"orders 3: {reason}"


def test_a_dead_letter_that_is_not_taken_says_where_and_why() -> None:
    held = Held("orders", 3, 17, "orders.DLT", "dead letter", "it does not exist", 4.0)
    later = evolve(held, offset=18)
    stuck = facts(evolve(BUSY, frontier_age_s=75.2))
    health = judge(evolve(stuck, not_taken=[later, held]), LIMITS)
    assert state_of(health) == (True, False, "dead letter not taken")
    assert "record 17 is held" in health.reason
    assert "'orders.DLT': it does not exist" in health.reason
    assert health.since_s == 4.0


def test_the_broker_that_is_away_explains_the_partitions_but_not_a_stuck_record() -> None:
    stuck = PartitionFacts(TopicPartition("orders", 4), evolve(BUSY, frontier_age_s=75.2))
    both = evolve(facts(), partitions=[*facts().partitions, stuck], away_s=3.0, away_why="refused")
    health = judge(both, LIMITS)
    assert health.state == "broker away"
    assert "refused" in health.reason
    assert [part.state for part in health.parts if part.kind == "partition"] == [
        "broker away",
        "stuck",
    ]


def test_an_actor_that_starts_for_the_first_time_is_not_restarted() -> None:
    child = ActorSnapshot("sender", ActorState.STARTING, 0, None, 0, 0, 1.0, ())
    known = evolve(facts(), tree=evolve(tree(), children=(child,)))
    (part,) = (part for part in judge(known, LIMITS).parts if part.kind == "actor")
    assert (part.name, part.state, part.reason) == ("listener/sender", "starting", "it starts")


def test_a_group_that_has_no_name_yet_is_not_rejoined() -> None:
    known = evolve(facts(), group=evolve(MEMBER, group_id="", is_member=False))
    assert not [part for part in judge(known, LIMITS).parts if part.kind == "group"]


@pytest.mark.parametrize(("has_topic", "why"), [(False, "none of its topics"), (True, "members")])
def test_a_member_without_partitions_says_what_it_waits_for(has_topic: bool, why: str) -> None:
    without = evolve(facts(), group=evolve(MEMBER, partitions=0), partitions=())
    known = evolve(without, missing_topics={"orders": ""}, has_topic=has_topic)
    (part,) = (part for part in judge(known, LIMITS).parts if part.kind == "group")
    assert why in part.reason


def test_an_obstacle_is_the_reason_for_a_long_start() -> None:
    group = evolve(MEMBER, is_member=False, obstacle="the group is full")
    health = judge(evolve(facts(), state="starting", group=group), LIMITS)
    assert state_of(health) == (True, False, "starting")
    assert "the group is full" in health.reason


@given(
    st.builds(
        PartitionStatus,
        st.integers(0, 9),
        st.none(),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 9),
        st.integers(0, 9),
        st.floats(0, 100),
        st.none() | st.just("held"),
        parsing=st.integers(0, 2),
        lag_age_s=st.none() | st.floats(0, 100),
        paused=st.booleans(),
        frontier=st.integers(0, 9),
        in_hand=st.integers(0, 9),
    ),
    st.floats(0, 100),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["new", "starting", "running", "closed", "forked"]),
)
def test_ready_means_that_no_part_is_in_trouble(
    status: PartitionStatus,
    unmoved_s: float,
    is_read: bool,
    may_wait: bool,
    state: Literal["new", "starting", "running", "closed", "forked"],
) -> None:
    known = facts(status, unmoved_s=unmoved_s, is_read=is_read, may_wait=may_wait)
    health = judge(evolve(known, state=state), LIMITS)
    assert health.reason
    assert all(part.reason for part in health.parts)
    assert health.ready == (state == "running" and all(part.ok for part in health.parts))
    assert health.live or not health.ready


@pytest.mark.parametrize("seconds", [-1, float("nan"), "60", None])
def test_a_limit_is_in_seconds(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="stuck_after_s is in seconds"):
        Limits(stuck_after_s=seconds)


def test_an_outage_begins_after_the_last_look_that_saw_a_connection() -> None:
    outage = Outage()
    assert outage.seconds(5.0) is None
    outage.note(10.0, is_connected=True)
    outage.note(10.2, is_connected=False)
    outage.note(10.4, is_connected=False)
    assert outage.seconds(11.0) == pytest.approx(1.0)
    outage.note(11.0, is_connected=True)
    assert outage.seconds(12.0) is None
    outage.note(16.0, is_connected=False)  # the event loop stood still
    assert outage.seconds(16.0) == 0.5


def test_silence_begins_with_the_oldest_record_that_nothing_was_acknowledged_after() -> None:
    silence = Silence()
    silence.note(1.0, 0, 0, None, is_connected=True)
    assert silence.seconds(1.0) is None
    silence.note(2.0, 0, 0, 2.0, is_connected=True)
    silence.note(5.0, 0, 3, None, is_connected=True)  # it has timed out
    assert silence.seconds(14.0) == 12.0
    silence.note(13.0, 0, 3, 13.0, is_connected=True)
    assert silence.seconds(14.0) == 12.0
    silence.note(13.5, 1, 3, 13.5, is_connected=True)
    assert silence.seconds(14.0) == 0.5
    silence.note(14.0, 1, 3, None, is_connected=True)  # it was refused
    assert silence.seconds(15.0) is None


def test_silence_is_forgotten_once_nothing_is_sent_any_more() -> None:
    silence = Silence()
    silence.note(2.0, 0, 0, 2.0, is_connected=True)
    silence.note(5.0, 0, 1, None, is_connected=True)
    silence.note(19.0, 0, 1, None, is_connected=True)
    assert silence.seconds(19.0) == 17.0
    silence.note(20.0, 0, 1, None, is_connected=True)
    assert silence.seconds(20.0) is None


def test_silence_ends_with_the_outage_that_it_was_part_of() -> None:
    silence = Silence()
    silence.note(2.0, 0, 0, 2.0, is_connected=True)
    silence.note(3.0, 0, 0, 2.0, is_connected=False)
    silence.note(5.0, 0, 1, None, is_connected=False)
    assert silence.seconds(6.0) == 4.0
    silence.note(6.0, 0, 1, None, is_connected=True)
    assert silence.seconds(6.0) is None


def test_a_producer_without_acknowledgements_is_stuck() -> None:
    known = Facts("producer", "running", tree(), under_way={"sends": 2}, silent_s=9.9)
    assert state_of(judge(known, LIMITS)) == (True, True, "moving")
    assert state_of(judge(evolve(known, silent_s=10.0), LIMITS)) == (True, False, "stuck")


def test_a_member_that_was_fenced_is_none_until_its_next_assignment() -> None:
    standing = Standing()
    standing.begins("billing", 1.0)
    assert (standing.is_member, standing.was_member, standing.since) == (False, False, 1.0)
    standing.joined(2.0)
    standing.joined(3.0)
    assert (standing.is_member, standing.since) == (True, 2.0)
    standing.left(4.0)
    standing.left(5.0)
    assert (standing.is_member, standing.was_member, standing.since) == (False, True, 4.0)


def test_sightings_remember_since_when_a_value_is_the_same() -> None:
    sightings = Sightings[str, int]()
    assert sightings.look(1.0, {"a": 1, "b": 1}) == {"a": 0.0, "b": 0.0}
    assert sightings.look(3.0, {"a": 1, "b": 2}) == {"a": 2.0, "b": 0.0}
    assert sightings.look(4.0, {"b": 2}) == {"b": 1.0}
    assert sightings.look(5.0, {"a": 1}) == {"a": 0.0}


def test_a_standstill_begins_right_after_the_look_that_saw_something_else() -> None:
    still = Standstill()
    assert still.note(10.0, None, 0, 0, 0) is None
    assert still.note(10.5, 10.1, 0, 0, 0) == 10.1
    assert still.note(11.0, 10.1, 0, 1, 1) == 10.5
    assert still.taken_at == 10.5
    assert still.note(11.5, 10.1, 0, 1, 1) == 10.5
    assert still.note(30.0, 10.1, 1, 2, 1) == 29.5  # the event loop stood still meanwhile
    assert still.note(30.5, None, 2, 2, 0) is None
