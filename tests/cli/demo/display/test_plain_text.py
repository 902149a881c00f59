"""What the demo looks like in a pipe."""

import pytest
from attrs import evolve

from sdml_kafka.cli.demo.display.frame import CallsView
from sdml_kafka.cli.demo.display.plain_text import PlainTextDisplay, calls_summary, summary
from sdml_kafka.cli.demo.event_log import LogLine
from tests.support.demo_frames import FINAL_REPORT, frame


def test_plain_lines_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainTextDisplay()
    display.starting("starting \x1b[1m")
    for tenth in range(41):
        display.show(frame(tenth / 10))
    display.log(LogLine(1.0, "ada: crashed \x1b[31m\nbadly", "bad"))
    display.close()
    display.report(FINAL_REPORT)
    shown = capsys.readouterr().out
    assert all(" " <= char <= "~" or char == "\n" for char in shown)
    assert "  1.0 s  * ada: crashed \\x1b[31m badly\n" in shown
    assert "ada (in the group)\n  listener               running\n" in shown
    assert "    consumer-loop        restarting  1x restarted\n" in shown
    assert "bob (away)\n" in shown
    assert "    requests             running\n      workers            running\n" in shown
    assert shown.count("calls 777") == 2
    assert shown.count("sent 1,234") == 2  # a line every two seconds
    assert shown.endswith(
        "    rebalance                                    0\n  lost: a\nbalanced\n"
    )


def test_a_plain_summary() -> None:
    assert summary(frame()) == (
        "  4.0 s    sent 1,234 (100/s)  finished 1,200 (90/s)  lag 5  in flight 3  "
        "partitions: ada 2, bob away  BROKER DOWN"
    )
    assert "BROKER" not in summary(evolve(frame(), broker_is_up=True))


def test_a_plain_summary_of_the_calls() -> None:
    assert calls_summary(frame()) == (
        "           calls 777 (55/s)  p50 2.2  p99 1,234 ms  in flight 8"
    )
    none_yet = CallsView(made=0, rate=0.0, in_flight=0, p50_ms=None, p99_ms=None)
    assert "p50 -  p99 - ms" in calls_summary(evolve(frame(), calls=none_yet))
