"""Lines that are limited and counted, what lasts and is said once, and bytes of strangers."""

import logging

import pytest

from sdml_kafka.log_fields import escaped
from sdml_kafka.rate_limited_log import LOG_INTERVAL_S, RateLimitedLog, TroubleLog

LOG = logging.getLogger("sdml_kafka.test")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(clock: Clock, caplog: pytest.LogCaptureFixture) -> RateLimitedLog:
    caplog.set_level(logging.INFO)
    return RateLimitedLog(LOG, clock)


def warn(log: RateLimitedLog, kind: str, number: int) -> None:
    log.log(logging.WARNING, kind, "%s %d", kind, number)


def test_each_kind_has_a_line_in_30_s_and_the_next_one_counts(
    limited: RateLimitedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        warn(limited, "a", number)
        warn(limited, "b", number)
    clock.now += LOG_INTERVAL_S
    warn(limited, "a", 5)
    assert caplog.messages == ["a 0", "b 0", "a 5 (4 more like this since the last line)"]


def test_what_was_left_out_is_written_when_its_time_is_over(
    limited: RateLimitedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        warn(limited, "a", number)
    limited.flush()
    assert caplog.messages == ["a 0"]
    clock.now += LOG_INTERVAL_S
    limited.flush()
    limited.flush()
    assert caplog.messages[1:] == ["a 4 (30 s ago) (3 more like this since the last line)"]
    warn(limited, "a", 5)
    assert len(caplog.messages) == 2  # the summary was a line of its kind


def test_at_the_end_nothing_is_kept_back(
    limited: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    warn(limited, "a", 0)
    warn(limited, "a", 1)
    limited.flush(at_once=True)
    limited.flush(at_once=True)
    assert caplog.messages == ["a 0", "a 1"]


def test_many_kinds_do_not_grow_for_ever(
    limited: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3000):
        warn(limited, str(number), number)
    assert len(caplog.messages) == 3000
    assert len(limited._kinds) <= 1000  # pyright: ignore[reportPrivateUsage]  # a leak shows only here


def test_bytes_of_strangers_are_bounded_and_escaped(
    limited: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    limited.log(logging.WARNING, "a", "%s: %s", "\x1b[31mred\nsecond line", ValueError("é" * 1000))
    (line,) = caplog.messages
    assert line.startswith(r"\x1b[31mred\nsecond line: éé")
    assert len(line) < 500
    assert line.isprintable()


def test_a_text_that_raises_is_named() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert escaped(Broken()) == "Broken, whose text raises"


def test_a_percent_sign_in_a_value_is_no_placeholder(
    limited: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    limited.log(logging.WARNING, "a", "%s", "100 %s {names}")
    assert caplog.messages == ["100 %s {names}"]


@pytest.fixture
def troubles(caplog: pytest.LogCaptureFixture) -> TroubleLog[int]:
    caplog.set_level(logging.INFO)
    begins, ends = "{names} broken: {why}", "{names} mended after {seconds} s"
    return TroubleLog[int](LOG, lambda keys: str(sorted(keys)), begins, ends, 1.0)


def test_what_lasts_is_said_once_and_its_end(
    troubles: TroubleLog[int], caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(100):
        troubles.look(second, {1: "a {brace}"})
    troubles.look(100, {})
    troubles.look(101, {})
    assert caplog.messages == ["[1] broken: a {brace}", "[1] mended after 100 s"]


def test_what_is_over_in_a_moment_is_not_said(
    troubles: TroubleLog[int], caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(100):
        troubles.look(second, {1: ""} if second % 2 else {})
    assert caplog.messages == []


def test_what_begins_together_shares_a_line_and_what_begins_soon_after_waits(
    troubles: TroubleLog[int], caplog: pytest.LogCaptureFixture
) -> None:
    troubles.look(100, {1: "", 2: ""})
    for second in range(101, 140):
        troubles.look(second, {1: "", 2: "", 3: ""})
    troubles.look(140, {3: ""})
    assert caplog.messages == [
        "[1, 2] broken: ",
        "[3] broken: ",
        "[1, 2] mended after 40 s",
    ]


def test_a_late_line_reads_otherwise_or_is_dropped_once_it_is_over(
    limited: RateLimitedLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("a", "b"):
        for _ in range(2):
            limited.log(logging.WARNING, kind, "%s lasts", kind, late="%s lasted")
    limited.is_over("b")
    clock.now += LOG_INTERVAL_S
    limited.flush()
    assert caplog.messages == ["a lasts", "b lasts", "a lasted (30 s ago)"]
    limited.log(logging.WARNING, "b", "%s lasts", "b")
    assert caplog.messages[-1] == "b lasts (1 more like this since the last line)"


def test_lines_name_the_function_that_has_logged_them(
    limited: RateLimitedLog, caplog: pytest.LogCaptureFixture
) -> None:
    limited.log(logging.WARNING, "a", "a")
    trouble = TroubleLog[str](LOG, ", ".join, "{names} {why}", "{names} {seconds}")
    trouble.look(0.0, {"b": "is wrong"}, {"kafka_broker": "b"})
    trouble.look(1.0, {})
    this = "test_lines_name_the_function_that_has_logged_them"
    assert [record.funcName for record in caplog.records] == [this] * 3
    assert vars(caplog.records[1])["kafka_broker"] == "b"
