"""Fetch requests and their answers, as aiokafka's own schemas write and read them."""

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.transport.aiokafka.fetch_codec import QuickFetchRequest, is_supported
from sdml_kafka.transport.aiokafka.silent_connections import SilentConnections
from tests.support.aiokafka_version import needs_newer_aiokafka

pytestmark = needs_newer_aiokafka

TOPICS = st.text(min_size=1, max_size=20)
INT8, INT16, INT32, INT64 = (
    st.integers(-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (8, 16, 32, 64)
)
WANTED = st.lists(st.tuples(TOPICS, st.lists(st.tuples(INT32, INT64, INT32))))
ABORTED = st.one_of(st.none(), st.lists(st.tuples(INT64, INT64)))
PARTITIONS = st.lists(
    st.tuples(
        *(INT32, INT16, INT64, INT64, INT64),
        ABORTED,
        INT32,
        st.one_of(st.none(), st.binary()),
    )
)
ANSWERS = st.lists(st.tuples(TOPICS, PARTITIONS))
NEW = {FetchRequest.API_KEY: (4, 17)}


@given(WANTED, INT32, INT32, INT32, INT8, st.text(max_size=20), INT32, st.text(max_size=20))
def test_requests_are_the_same_bytes(
    topics: Any,
    wait_ms: int,
    least: int,
    most: int,
    isolation: int,
    rack: str,
    number: int,
    client: str,
) -> None:
    given_request = FetchRequest(wait_ms, least, most, isolation, topics, rack)
    theirs, ours = given_request.build(FetchRequest_v11), QuickFetchRequest(given_request)
    ours = ours.prepare(NEW)
    header = {"correlation_id": number, "client_id": client}
    assert ours.build_request_header(**header).encode() == (
        theirs.build_request_header(**header).encode()
    )
    assert ours.encode() == theirs.encode()
    assert ours.topics == topics
    assert SilentConnections(None, repeats_produce=False)._expected_s(ours) == wait_ms / 1000


@given(ANSWERS, INT16, INT32, INT32)
def test_answers_are_read_alike(topics: Any, error: int, session: int, number: int) -> None:
    ours = QuickFetchRequest(FetchRequest(1, 1, 1, 1, []))
    body = FetchResponse_v11(0, error, session, topics).encode()
    frame = BytesIO(number.to_bytes(4, "big", signed=True) + body)
    assert ours.parse_response_header(frame).correlation_id == number
    answer = ours.RESPONSE_TYPE.decode(frame)
    assert (answer.error_code, answer.session_id, answer.topics) == (error, session, topics)
    assert answer.API_VERSION == 11


def test_an_answer_that_ends_too_early_is_an_error() -> None:
    topics = [("orders", [(0, 0, 1, 1, 0, None, -1, b"records")])]
    body = FetchResponse_v11(0, 0, 0, topics).encode()
    with pytest.raises(ValueError, match="too early"):
        QuickFetchRequest.RESPONSE_TYPE.decode(BytesIO(body[:-1]))


def test_brokers_without_this_version_get_another_one() -> None:
    request = QuickFetchRequest(FetchRequest(1, 1, 1, 1, []))
    assert request.prepare({FetchRequest.API_KEY: (0, 10)}).API_VERSION == 10


def test_the_installed_aiokafka_is_as_expected() -> None:
    assert is_supported()
