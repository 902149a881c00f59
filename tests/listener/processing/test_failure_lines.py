"""What an operator reads of records that failed or were held, once that is over."""

import anyio
import pytest

from sdml_kafka import DeadLetter, RecordRefused, Retry
from tests.support.listener_on_twin import broker_with
from tests.support.log_lines import Lines, lines_of
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return lines_of(caplog)


def refuse(value: str, delivery: object) -> None:
    raise ValueError(value)


async def test_a_dead_letter_that_was_held_is_said_to_be_over_and_not_to_be_held(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_with("a")
    broker.create_topic("letters")
    broker.fail_sends(RecordRefused("the policy forbids it"), times=3)
    listener = processing_on(broker)
    async with listener, processing(listener, refuse, on_failure=DeadLetter(topic="letters")):
        await anyio.sleep(100)
    failed, held, taken = lines()[1:-1]
    place = "'topic' partition 0 offset 0"
    text = f"ERROR refuse failed at {place} (ValueError: a), and the record goes to 'letters'"
    assert failed == text
    assert held.startswith(f"WARNING {place} is held, since its dead letter is not taken")
    assert taken.startswith(f"INFO {place} is held no longer: its dead letter is taken by")
    assert {record.funcName for record in caplog.records} >= {"_hold", "_is_taken"}


async def test_an_attempt_is_not_announced_after_it_was_made(lines: Lines) -> None:
    broker = broker_with("a")
    broker.create_topic("topic-dlt")
    listener = processing_on(broker)
    retry = Retry(attempts=3, backoff_s=0.3)
    async with listener, processing(listener, refuse, retry=retry, on_failure=DeadLetter()):
        await anyio.sleep(100)
    first, failed, second = lines()[1:-1]
    assert "attempt 2 follows in" in first
    assert failed.startswith("ERROR")
    assert "attempt 3 was to follow within" in second
    assert second.endswith(" s ago)")
