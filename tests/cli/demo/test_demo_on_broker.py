"""`sdml-kafka demo` as people run it, on a Kafka that it starts itself."""

import re
import signal
import subprocess

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, PROGRAM
from tests.support.rebalance_delay import PROGRAM_WITH_A_BROKER

pytestmark = pytest.mark.broker

TIMEOUT_S = 100.0


@BACKENDS
@pytest.mark.one_loop
@pytest.mark.parametrize("over", ["aiokafka", pytest.param("librdkafka", marks=pytest.mark.soak)])
def test_the_books_balance(backend: str, over: str) -> None:
    argv = [*PROGRAM_WITH_A_BROKER, "demo", "--seconds", "8", "--backend", backend]
    argv += ["--client", over]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    shown = ended.stdout
    assert ended.returncode == 0, shown + ended.stderr
    assert ended.stderr == ""
    counts = dict(re.findall(r"^  +(\w[^\n]*?) +([\d,]+)$", shown, re.MULTILINE))
    assert counts["sent: acknowledged by Kafka"] == counts["finished: by the loops of a listener"]
    assert counts["lost"] == counts["unexplained"] == "0"
    assert counts["calls made"] == counts["calls settled"]
    assert (counts["bills sent"], counts["handled, each customer's in order"]) == ("96", "95")
    assert counts["handled after a retry"] == counts["dead letters"] == "1"
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
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "records begin to flow" in line:
                process.send_signal(signal.SIGINT)
                break
        shown, errors = process.communicate(timeout=TIMEOUT_S)
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
