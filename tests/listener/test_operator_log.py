"""What an operator reads of a listener: a line for each thing that happens, and none twice."""

import logging
import re

import anyio
import pytest

from sdml_kafka import ConsumerFailed
from sdml_kafka.runtime import Restarts
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    parsed_by,
    take_last,
)
from tests.support.log_lines import Lines, lines_of
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return lines_of(caplog)


async def test_joining_and_leaving_are_said(lines: Lines) -> None:
    async with listener_on(broker_with(partitions=3)):
        pass
    assert lines() == [
        "INFO joined group 'group': this member reads 'topic' 0-2",
        "INFO leaves group 'group'",
    ]


async def test_a_rebalance_says_what_was_gained_and_given_up(lines: Lines) -> None:
    broker = broker_with(partitions=2)
    async with listener_on(broker) as first:
        async with listener_on(broker):
            await until(lambda: len(first.status().partitions) == 1)
        await until(lambda: len(first.status().partitions) == 2)
    rebalanced = [line for line in lines() if "has rebalanced" in line]
    assert len(rebalanced) == 2
    assert "(gave up 'topic' 1)" in rebalanced[0]
    assert "reads 'topic' 0-1 (gained 'topic' 1)" in rebalanced[1]


@pytest.mark.parametrize("outage_s", [8.0, 20.0])
async def test_an_outage_is_said_once_and_so_is_its_end(outage_s: float, lines: Lines) -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 1)
        await until(lambda: broker.committed(GROUP, P0) == 1)
        broker.down()
        await take_last(stream, 1)  # whose commit fails again and again
        await anyio.sleep(outage_s)
        broker.up()
        await until(lambda: listener.status().connected)
        await anyio.sleep(1)
        said = [line for line in lines() if "INFO joined" not in line]
    away, *more, back = said
    assert away.startswith("WARNING no broker can be reached, so nothing is read")
    seconds = re.match(r"INFO a broker can be reached again, after (\d+) s", back)
    assert seconds is not None
    assert int(seconds[1]) - outage_s in (0.0, 1.0)  # it is seen at the next look
    if outage_s < 10:
        assert more == []
    else:  # the session of the member has timed out
        lost, rebalanced = more
        assert lost.startswith("WARNING this member was out of group 'group'")
        assert rebalanced.startswith("INFO group 'group' has rebalanced")


async def test_an_outage_of_a_moment_is_not_said(lines: Lines) -> None:
    broker = broker_with()
    async with listener_on(broker):
        broker.down()
        await anyio.sleep(0.6)
        broker.up()
        await anyio.sleep(60)
        assert len(lines()) == 1


async def test_outages_in_a_row_are_said_once_in_30_s(lines: Lines) -> None:
    broker = broker_with()
    async with listener_on(broker):
        for _ in range(10):
            broker.down()
            await anyio.sleep(3)
            broker.up()
            await anyio.sleep(3)
        assert len([line for line in lines() if "no broker" in line]) == 2


async def test_an_outage_that_begins_within_30_s_and_lasts_is_said(lines: Lines) -> None:
    broker = broker_with()
    async with listener_on(broker):
        broker.down()
        await anyio.sleep(3)
        broker.up()
        await anyio.sleep(3)
        broker.down()
        await anyio.sleep(40)
        assert len([line for line in lines() if "no broker" in line]) == 2


async def test_a_partition_that_does_not_decode_says_so_and_when_it_goes_on(lines: Lines) -> None:
    broker = broker_with("a", partitions=2)
    async with listener_on(broker) as listener:
        broker.spoil(P0, "CRC of \x1b[31m does not match")
        await until(lambda: bool(listener.status().partitions[P0].held))
        await anyio.sleep(100)
        broker.mend(P0)
        await anyio.sleep(1)
    held = [line for line in lines() if "read on" in line]
    assert held[0] == (
        "WARNING 'topic' 0 cannot be read on, and nothing behind it is delivered: "
        r"CRC of \x1b[31m does not match"
    )
    assert held[1].startswith("INFO 'topic' 0 is read on, after 10")
    assert len(held) == 2


async def test_a_record_that_a_loop_does_not_finish_says_so_once(lines: Lines) -> None:
    gate = Gate()
    async with (
        listener_on(broker_with(*"abc")) as listener,
        loops(await listener.subscribe(str), work=gate),
    ):
        await anyio.sleep(600)
        gate.open()
        await until(lambda: listener.status().counters.finished == 3)
        await anyio.sleep(10)
    stuck = [line for line in lines() if "partition 0 offset 0" in line]
    assert len(stuck) == 2
    assert stuck[0].startswith("WARNING the program has had 'topic' partition 0 offset 0 in hand")
    assert stuck[1].startswith("INFO 'topic' partition 0 offset 0 has finished")


async def test_a_stream_that_nobody_reads_says_so(lines: Lines) -> None:
    async with listener_on(broker_with("a")) as listener:
        stream = await listener.subscribe(str)
        await anyio.sleep(120)
        assert any("has waited for 60 s for a loop to take it" in line for line in lines())
        await take_last(stream, 1)
        await anyio.sleep(10)
        assert "INFO 'topic' partition 0 offset 0 was taken, after" in lines()[-1]
        await stream.aclose()


async def test_slow_records_that_finish_one_after_another_are_not_stuck(lines: Lines) -> None:
    async with (
        listener_on(broker_with(*"abcdefgh")) as listener,
        loops(await listener.subscribe(str), work=lambda _: anyio.sleep(30)) as (loop,),
    ):
        await anyio.sleep(200)
        await loop.has_seen(7)
    assert not [line for line in lines() if "WARNING" in line]


async def test_a_missing_topic_is_said_and_that_it_is_there(lines: Lines) -> None:
    broker = broker_with()
    parsers = [{**each, "topics": ["nosuch"]} for each in parsed_by(lambda record: "x")]
    async with listener_on(broker, parsers=parsers):  # type: ignore[arg-type]  # same keys
        await anyio.sleep(60)
        broker.create_topic("nosuch")
        await anyio.sleep(2)
    told = [line for line in lines() if line.startswith(("WARNING", "INFO topic"))]
    assert told == [
        "WARNING topic 'nosuch' does not exist; it is read as soon as it does",
        "INFO topic 'nosuch' exists now",
    ]


async def test_two_thousand_records_that_do_not_parse_are_two_lines(lines: Lines) -> None:
    broker = broker_with(*["\x1b[31m\n" + 1000 * "x"] * 2000, "1")
    parsers = parsed_by(lambda record: int(record.value), int)
    async with listener_on(broker, parsers=parsers) as listener:
        assert await take_last(await listener.subscribe(int), 1) == [1]
        assert listener.status().counters.parse_errors == 2000
        assert len([line for line in lines() if "WARNING" in line]) == 1
        await anyio.sleep(31)
        skipped = [line for line in lines() if "WARNING" in line]
    assert len(skipped) == 2
    assert skipped[0].startswith("WARNING skipped a record that did not parse as int: 'topic'")
    assert "(1998 more like this since the last line)" in skipped[1]
    for line in skipped:
        assert len(line) < 600
        assert line.isprintable()


async def test_records_that_a_rebalance_takes_out_of_hand_are_said(lines: Lines) -> None:
    broker, gate = broker_with(*"ab", partitions=2), Gate()
    fill(broker, "c", partition=1)
    async with (
        listener_on(broker, drain_timeout=1.0) as first,
        loops(await first.subscribe(str), work=gate),
    ):
        await until(lambda: gate.arrived)
        async with listener_on(broker):
            await until(lambda: first.status().counters.rebalances == 2)
            gate.open()
            await anyio.sleep(1)
        await anyio.sleep(31)
    (kept,) = [line for line in lines() if "drain_timeout" in line]
    assert kept.startswith("WARNING 1 records in hand have not finished in time")
    (late,) = [line for line in lines() if "finished after" in line]
    assert late.startswith("WARNING 1 records finished after their partition was taken away")


async def test_a_record_that_finishes_after_a_seek_is_no_news(lines: Lines) -> None:
    broker, gate = broker_with(*"abc"), Gate()
    async with (
        listener_on(broker, drain_timeout=1.0) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await until(lambda: gate.arrived)
        await listener.seek(P0, 2)
        gate.open()
        await loop.has_seen(2)
        await anyio.sleep(31)
    assert loop.seen == ["a", "c"]
    assert not [line for line in lines() if "WARNING" in line]


async def test_a_member_that_was_thrown_out_says_so(lines: Lines) -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener:
        broker.expel("group-1")
        await until(lambda: listener.status().counters.rebalances == 2)
    (lost,) = [line for line in lines() if "WARNING" in line]
    assert "was out of group 'group', so others may read 'topic' 0 by now" in lost


async def test_a_jump_says_from_where_to_where_and_is_counted(lines: Lines) -> None:
    broker = broker_with(*"abcdefgh")
    broker.commit(GROUP, P0, 2)
    broker.trim(P0, 5)
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        assert await take_last(await listener.subscribe(str), 3) == ["f", "g", "h"]
        counters = listener.status().counters
    assert (counters.jumps, counters.lost_offsets) == (1, 3)
    (jump,) = [line for line in lines() if "WARNING" in line]
    assert jump == (
        "WARNING 'topic' partition 0: the offset to be read next was deleted (does retention suit "
        "the readers?); reading goes on at 5, not at 2: 3 offsets are lost"
    )


async def test_jumps_while_reading_are_counted_and_said_once_in_30_s(lines: Lines) -> None:
    broker = broker_with(partitions=2)
    async with listener_on(broker, max_in_flight=1) as listener:
        await anyio.sleep(1)
        for partition in (P0, P1):
            broker.skip_offsets(partition, 10)
            broker.trim(partition, 10)
        stream = await listener.subscribe(str)
        await until(lambda: listener.status().counters.jumps == 2)
        assert listener.status().counters.lost_offsets == 20
        assert len([line for line in lines() if "WARNING" in line]) == 1
        await stream.aclose()
    assert len([line for line in lines() if "WARNING" in line]) == 2


async def test_a_restart_says_why_without_a_traceback(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with("a")
    async with listener_on(broker, restarts=Restarts(max_restarts=50)) as listener:
        for count in range(1, 11):
            broker.fail_next_poll(ConsumerFailed("died"))
            await until(lambda: listener.status().counters.rebalances > count)  # noqa: B023  # now
    failed = [line for line in lines() if "failed: ConsumerFailed: died" in line]
    assert failed[0] == "WARNING actor listener/consumer-loop failed: ConsumerFailed: died"
    assert len(failed) <= 3
    again = [line for line in lines() if "runs again after" in line]
    assert again[0].endswith("s, restarted for ConsumerFailed: died")
    assert "Traceback" not in caplog.text


async def test_debug_keeps_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    broker = broker_with("a")
    caplog.set_level(logging.DEBUG)
    async with listener_on(broker) as listener:
        broker.fail_next_poll(ConsumerFailed("died"))
        await until(lambda: listener.status().counters.rebalances == 2)
    assert caplog.text.count("Traceback") == 1


async def test_the_lines_of_a_thousand_partitions_are_short(lines: Lines) -> None:
    topics = {f"{TOPIC}{number}": 3 for number in range(400)}
    broker = broker_with()
    for topic, count in topics.items():
        broker.create_topic(topic, count)
    parsers = [{**each, "topics": [*topics]} for each in parsed_by(lambda record: "x")]
    async with listener_on(broker, parsers=parsers):  # type: ignore[arg-type]  # same keys
        pass
    assert "and" in lines()[0]
    assert max(map(len, lines())) < 400


async def test_a_loop_that_settles_nothing_is_told_so(lines: Lines) -> None:
    def told() -> list[str]:
        return [line for line in lines() if "dropped unfinished" in line]

    async with listener_on(broker_with("a", "b")) as listener:
        stream, seen = await listener.subscribe(str), list[str]()
        async for delivery in stream.deliveries():
            seen.append(delivery.value)
            if len(seen) == 20:
                break
        await until(told)
        [line] = told()  # the others of the next half minute are one line
    assert {*seen} == {"a", "b"}
    assert line.startswith("WARNING 'topic' partition 0 offset ")
    assert "is dropped unfinished again and again, and so it comes again" in line


async def test_loops_that_break_off_are_told_nothing(lines: Lines) -> None:
    async with listener_on(broker_with("a", "b", "c")) as listener:
        stream = await listener.subscribe(str)
        for _ in range(2):
            async for delivery in stream.deliveries():
                assert delivery.value == "a"
                break
            del delivery
        assert await take_last(stream, 3) == ["a", "b", "c"]
    assert not [line for line in lines() if "dropped" in line]
