"""Produce requests and their answers, as aiokafka's own schemas write and read them."""

from io import BytesIO
from typing import Any

from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7, ProduceResponse_v7
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.aiokafka.producer.produce_codec import QuickProduceRequest

TOPICS = st.text(min_size=1, max_size=20)
INT16, INT32, INT64 = (st.integers(-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (16, 32, 64))
REQUESTED = st.lists(st.tuples(TOPICS, st.lists(st.tuples(INT32, st.binary()))))
OUTCOMES = st.lists(st.tuples(TOPICS, st.lists(st.tuples(INT32, INT16, INT64, INT64, INT64))))
NEW = {ProduceRequest.API_KEY: (0, 12)}


def both(topics: Any, acks: int = -1, timeout_ms: int = 15_000) -> tuple[Any, Any]:
    quick = QuickProduceRequest(ProduceRequest(None, acks, timeout_ms, topics))
    return ProduceRequest_v7(None, acks, timeout_ms, topics), quick.prepare(NEW)


@given(REQUESTED, st.sampled_from([-1, 1]), INT32, INT32, st.text(max_size=20))
def test_requests_are_the_same_bytes(
    topics: Any, acks: int, timeout_ms: int, number: int, client: str
) -> None:
    theirs, ours = both(topics, acks, timeout_ms)
    header = {"correlation_id": number, "client_id": client}
    assert ours.build_request_header(**header).encode() == (
        theirs.build_request_header(**header).encode()
    )
    assert ours.encode() == theirs.encode()


@given(OUTCOMES, INT32)
def test_answers_are_read_alike(topics: Any, number: int) -> None:
    _, ours = both([])
    frame = BytesIO(number.to_bytes(4, "big", signed=True) + ProduceResponse_v7(topics, 0).encode())
    assert ours.parse_response_header(frame).correlation_id == number
    answer = ours.RESPONSE_TYPE.decode(frame)
    assert (answer.API_VERSION, answer.topics) == (7, topics)


def test_brokers_without_this_version_get_another_one() -> None:
    request = QuickProduceRequest(ProduceRequest(None, -1, 1, []))
    assert request.prepare({ProduceRequest.API_KEY: (0, 5)}).API_VERSION == 5
