"""The question how long a group's sessions are, which nobody answers."""

from time import monotonic

from sdml_kafka.transport.librdkafka.group_session import SessionLookup
from sdml_kafka.transport.librdkafka.logs import ClientLog
from tests.support.waiting import BUSY_S


def test_a_question_that_nobody_answers_is_given_up(free_tcp_port: int) -> None:
    found: list[float] = []
    settings = {"bootstrap.servers": f"127.0.0.1:{free_tcp_port}", "group.id": "group"}
    lookup = SessionLookup(settings, ClientLog(()), found.append)
    began = monotonic()
    lookup.close()
    assert monotonic() - began < 1.0 + BUSY_S
    assert not found


def test_options_that_cannot_be_do_no_harm() -> None:
    lookup = SessionLookup({"group.id": "group", "no.option": 1}, ClientLog(()), lambda _: None)
    lookup.close()
