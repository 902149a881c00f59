"""`sdml-kafka serve` as people run it, on a real Kafka."""

import signal

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.command_line import BACKENDS, EXIT_TIMEOUT_S, request, run_here, serving
from tests.support.kafka_from_outside import unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]

SCRIPT = """
read what
case $what in
    fail) echo 'such a \033[31mpity' >&2; exit 3;;
    sleep) exec sleep 60;;
    *) printf '%s for %s' "$what" "$SDML_KAFKA_KEY";;
esac
"""


@BACKENDS
def test_a_reply_an_error_a_timeout_and_a_signal(
    backend: str, embedded_kafka: EmbeddedKafka
) -> None:
    topic, on = unique("serve"), ("--backend", backend)
    with serving(embedded_kafka, topic, *on, command=("sh", "-c", SCRIPT)) as server:
        replied = request(embedded_kafka, topic, "-", "--key", "ann", *on, stdin=b"hi\n")
        assert (replied.returncode, replied.stdout, replied.stderr) == (0, b"hi for ann", b"")

        failed = request(embedded_kafka, topic, "fail", *on)
        assert (failed.returncode, failed.stdout) == (4, b"")
        said = b"sdml-kafka: request: the server answered internal: exit code 3\n"
        assert failed.stderr == said

        late = request(embedded_kafka, topic, "sleep", "--timeout", "4", *on)  # to start is in it
        assert (late.returncode, late.stdout) == (3, b"")
        assert late.stderr.startswith(b"sdml-kafka: request: ")
        assert late.stderr.count(b"\n") == 1

        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=EXIT_TIMEOUT_S)
    assert server.returncode == 0
    said, *logged = errors.splitlines()
    assert said.partition(b"]: ")[2] == b"such a \\x1b[31mpity"
    # The last one's reply topic may be gone by the time of the answer, which is logged as well.
    assert len(logged) <= 1
    assert all(b"does not exist" in line for line in logged)


def test_max_ends_a_server(embedded_kafka: EmbeddedKafka) -> None:
    topic = unique("serve")
    with serving(embedded_kafka, topic, "--max", "2", command=("cat",)) as server:
        for value in ("one", "two"):
            assert request(embedded_kafka, topic, value).stdout == value.encode()
        assert server.wait(EXIT_TIMEOUT_S) == 0


def test_a_server_without_a_broker_cannot_begin() -> None:
    where = "--bootstrap", "127.0.0.1:1", "--group", "g", "--backend", "trio"
    ended = run_here("serve", "orders", *where, "--", "cat")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"sdml-kafka: serve: ")
    assert ended.stderr.count(b"\n") == 1
