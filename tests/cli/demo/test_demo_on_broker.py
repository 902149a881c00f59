"""`sdml-kafka demo` as people run it, on a Kafka that it starts itself."""

import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Timer

import httpx
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, PROGRAM
from tests.support.rebalance_delay import PROGRAM_WITH_A_BROKER

pytestmark = pytest.mark.broker

TIMEOUT_S = 100.0
SEEN_S = 60.0
"""Seconds after which the page should show what happens in the demo."""


@contextmanager
def running(argv: list[str]) -> Generator[subprocess.Popen[str]]:
    """Run the demo, and kill it if it takes too long."""
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        timer = Timer(TIMEOUT_S, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def seen_until(process: subprocess.Popen[str], wanted: str) -> tuple[str, str]:
    """Return the lines up to the one that is wanted, and what the group in it matches."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if (found := re.search(wanted, line)) is not None:
            return seen, found[1]
    raise AssertionError(f"no {wanted!r} in {seen}")


def see_a_stuck_record(address: str) -> None:
    """Return when the page's status shows that a partition is stuck."""
    states = set[str]()
    with httpx.Client(base_url=address, timeout=SEEN_S) as browser:
        for _ in until_seen():
            status = browser.get("/status.json").json()
            states |= {part["state"] for one in status["objects"] for part in one["partitions"]}
            if "stuck" in states:
                return
    raise AssertionError(states)


def see_the_dead_letter(address: str, token: str) -> None:
    """Return when the page lists the bill that has failed, to whoever has the token."""
    answers = set[str]()
    with httpx.Client(base_url=address, timeout=SEEN_S) as browser:

        def ask(token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            return browser.post("/dead-letters", json={}, headers=headers)

        assert ask("wrong").status_code == 403
        for _ in until_seen():
            answer = ask(token)
            answers.add(answer.text)
            topics = answer.json().get("topics", [])  # none while the broker is away
            letters = [one for each in topics for one in each["letters"]]
            if letters:
                assert letters[0]["message"] == "card declined"
                return
    raise AssertionError(answers)


def until_seen() -> Iterator[None]:
    deadline = time.monotonic() + SEEN_S
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)


@BACKENDS
@pytest.mark.one_loop
@pytest.mark.parametrize("over", ["aiokafka", pytest.param("librdkafka", marks=pytest.mark.soak)])
def test_the_books_balance(backend: str, over: str) -> None:
    argv = [*PROGRAM_WITH_A_BROKER, "demo", "--seconds", "8", "--backend", backend]
    argv += ["--client", over]
    with running(argv) as process:
        shown, address = seen_until(process, r"live page: (\S+)")
        more, token = seen_until(process, r"token (\S+):")
        with ThreadPoolExecutor() as threads:  # the one may be over when the other is seen
            stuck = threads.submit(see_a_stuck_record, address)
            threads.submit(see_the_dead_letter, address, token).result()
            stuck.result()
        rest, errors = process.communicate()
    shown += more + rest
    assert process.returncode == 0, shown + errors
    assert errors == ""
    counts = dict(re.findall(r"^  +(\w[^\n]*?) +([\d,]+)$", shown, re.MULTILINE))
    assert counts["sent: acknowledged by Kafka"] == counts["finished: by the loops of a listener"]
    assert counts["lost"] == counts["unexplained"] == "0"
    assert counts["calls made"] == counts["calls settled"]
    assert (counts["bills sent"], counts["handled, each customer's in order"]) == ("96", "95")
    assert counts["handled after a retry"] == counts["dead letters"] == "1"
    assert counts["sent anew, and paid"] == "1"
    assert counts["with the right reply"] == counts["with a reply"] != "0"
    assert counts["timed out: unexplained"] == "0"
    for text in (
        "server 2 leaves",
        "server 2 comes back",
        "the client has left",
        "bob leaves the group",
        "bob comes back",
        "ada: consumer-loop crashed",
        "ada: consumer-loop runs again",
        "the broker is back",
        "cashier: bill 20 failed, and was paid at attempt 2",
        "cashier: bill 45 is a dead letter in 'bills-dlt': card declined",
        "live page: http://127.0.0.1:",
        "cashier: stuck, bills ",
        "cashier: bill 45, sent anew, was paid",
        "cashier: bill 63 is stuck no more",
        "cashier: 96 bills of 8 customers, up to ",
        " at once, each customer's in order",
        "all of them finished",
        "commit-scheduler     running",
        "reply-loop           running",
        "      workers            running",
    ):
        assert text in shown
    assert shown.splitlines()[-1].startswith("balanced: nothing lost")
    assert "\x1b" not in shown


def test_ctrl_c_ends_it_tidily(embedded_kafka: EmbeddedKafka) -> None:
    argv = [PROGRAM, "demo", "--bootstrap", embedded_kafka.bootstrap_servers]
    with running(argv) as process:
        _, address = seen_until(process, r"live page: (\S+)")
        seen_until(process, "(records begin to flow)")
        with httpx.Client(base_url=address, timeout=30) as browser:  # whose connection stays open
            page, status = browser.get("/"), browser.get("/status.json").json()
            process.send_signal(signal.SIGINT)
            shown, errors = process.communicate()
    assert "<title>sdml-kafka</title>" in page.text
    kinds = Counter(each["kind"] for each in status["objects"])
    assert (kinds["listener"] > 1, kinds["server"] > 0, kinds["rpc"]) == (True, True, 1)
    assert len({each["name"] for each in status["objects"]}) == kinds.total()
    assert process.returncode == 130
    assert errors == ""
    assert "cut short" in shown.splitlines()[-1]
    assert "lost" not in shown


def test_no_broker_is_one_line_and_exit_code_2() -> None:
    argv = [PROGRAM, "demo", "--bootstrap", "127.0.0.1:1"]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("sdml-kafka: demo: ")
    assert "127.0.0.1" in ended.stderr
    assert ended.stderr.count("\n") == 1
