"""Which group protocol a configuration stands for."""

from typing import Any

import pytest

from sdml_kafka.transport.interfaces.reports import Membership
from sdml_kafka.transport.librdkafka.consumer.adapter import connect
from sdml_kafka.transport.librdkafka.group_protocol import (
    group_protocol,
    membership_of,
    without_group,
)


def test_by_default_the_broker_decides_with_the_classic_protocol_to_fall_back_on() -> None:
    chosen = group_protocol({"group.id": "g"})
    assert chosen.settings["group.protocol"] == "consumer"
    assert chosen.is_incremental
    assert chosen.fallback is not None
    assert chosen.fallback["partition.assignment.strategy"] == "cooperative-sticky"
    assert "group.protocol" not in chosen.fallback


@pytest.mark.parametrize(
    ("options", "is_incremental"),
    [
        ({"group.protocol": "consumer"}, True),
        ({"group.protocol": "classic"}, True),
        ({"session.timeout.ms": 6000}, True),
        ({"partition.assignment.strategy": "range"}, False),
    ],
)
def test_what_was_asked_for_is_final(options: dict[str, Any], is_incremental: bool) -> None:
    chosen = group_protocol({"group.id": "g", **options})
    assert options.items() <= chosen.settings.items()
    assert chosen.fallback is None
    assert chosen.is_incremental == is_incremental


@pytest.mark.parametrize(
    ("options", "decided_by"),
    [
        ({}, ()),
        ({"group.protocol": "classic", "session.timeout.ms": 6000}, ()),
        (
            {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300},
            ("heartbeat.interval.ms", "session.timeout.ms"),
        ),
    ],
)
@pytest.mark.anyio
async def test_a_line_says_which_options_have_chosen_the_protocol(
    options: dict[str, Any], decided_by: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", **options}
    assert group_protocol(settings).decided_by == decided_by
    async with connect(settings)():
        pass
    lines = [line for line in caplog.messages if "classic group protocol" in line]
    assert len(lines) == bool(decided_by)
    assert all(f"{name!r}" in line for line in lines for name in decided_by)


def test_the_session_is_not_longer_than_the_time_between_polls() -> None:
    fallback = group_protocol({"max.poll.interval.ms": 10_000}).fallback
    assert fallback is not None
    assert fallback["session.timeout.ms"] == 10_000


def test_the_client_that_fetches_is_no_member() -> None:
    settings = {"group.id": "g", "group.protocol": "consumer", "fetch.wait.max.ms": 50}
    assert without_group(settings) == {"group.id": "g", "fetch.wait.max.ms": 50}


def test_the_session_is_the_brokers_with_the_protocol_of_kip_848() -> None:
    chosen = group_protocol({"group.id": "g"})
    assert membership_of(chosen.settings) == Membership("consumer", None)
    assert chosen.fallback is not None
    assert membership_of(chosen.fallback) == Membership("classic", 45.0)
    own = group_protocol({"session.timeout.ms": 6000})
    assert membership_of(own.settings) == Membership("classic", 6.0)
