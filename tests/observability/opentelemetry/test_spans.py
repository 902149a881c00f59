"""The spans and metrics that the hook makes of what it is called with, without a broker."""

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from sdml_kafka import (
    CallBegun,
    CallSettled,
    CommitRejected,
    Committed,
    Delivered,
    FailedCommit,
    Handling,
    Lost,
    Origin,
    Outgoing,
    RemoteError,
    RequestHandled,
    TopicPartition,
)
from sdml_kafka.observability.opentelemetry import OpenTelemetry
from tests.support.records import make_record
from tests.support.telemetry import Seen, about, is_child, links_of, trace_of, traceparent

LISTENER = Origin("listener", "group")
CLIENT = Origin("rpc", "", "client")
SERVER = Origin("server", "servers")
PRODUCER = Origin("producer")


@pytest.fixture
def seen() -> Seen:
    return Seen()


def outgoing(
    purpose: str = "send",
    topic: str = "out",
    *,
    headers: tuple[tuple[str, bytes], ...] = (),
    handling: Handling | None = None,
    record: object = None,
    call_id: bytes | None = None,
) -> Outgoing:
    arguments = PRODUCER, purpose, topic, b"key", b"value", headers, None, handling, record
    return Outgoing(*arguments, call_id)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what tests choose


def acknowledge(hook: OpenTelemetry, message: Outgoing, error: Exception | None = None) -> None:
    on_outcome = hook.sending(message)
    assert on_outcome is not None
    if error is None:
        message.partition, message.offset = 2, 9
    on_outcome(error)


# -- handlers ----------------------------------------------------------------------------


def test_a_handler_runs_in_a_span_that_is_a_child_of_its_record(seen: Seen) -> None:
    hook, sender = seen.hook(), seen.span("sender")
    record = make_record("orders", 1, offset=5, key=b"k", headers=[traceparent(sender)])
    with hook.handling(Handling(LISTENER, "bill", (record,), 1)) or pytest.fail(
        "there is nothing to enter"
    ):
        inside = trace.get_current_span()
    assert not trace.get_current_span().get_span_context().is_valid
    span = seen.one("process orders")
    assert inside.get_span_context() == span.get_span_context()
    assert span.kind is SpanKind.CONSUMER
    assert is_child(span, sender)
    assert links_of(span) == {sender.get_span_context().span_id}
    assert span.status.status_code is StatusCode.UNSET
    assert about(span) == {
        "messaging.system.name": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "1",
        "messaging.consumer.group.name": "group",
        "kafka.offset": 5,
        "kafka.message.key": "k",
        "sdml_kafka.handler": "bill",
    }
    ((attributes, count),) = seen.points("messaging.process.duration")
    assert count == 1
    assert attributes["messaging.destination.name"] == "orders"


def test_a_span_that_is_current_at_the_start_is_a_link_and_no_parent(seen: Seen) -> None:
    around = seen.span("start of the program")
    token = context.attach(trace.set_span_in_context(around))
    with seen.hook().handling(Handling(LISTENER, "bill", (make_record(),), 1)):
        pass
    context.detach(token)
    span = seen.one("process topic")
    assert span.parent is None
    assert links_of(span) == {around.get_span_context().span_id}


def test_an_error_of_a_handler_is_the_status_of_its_span(seen: Seen) -> None:
    handling = Handling(LISTENER, "bill", (make_record(),), 3)
    with pytest.raises(ValueError, match="no"), seen.hook().handling(handling):
        raise ValueError("no")
    span = seen.one("process topic")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "no"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"
    assert span.attributes["sdml_kafka.attempt"] == 3
    assert [event.name for event in span.events] == ["exception"]
    ((attributes, _),) = seen.points("messaging.process.duration")
    assert attributes["error.type"] == "ValueError"


def test_a_batch_begins_a_trace_with_links_to_its_records(seen: Seen) -> None:
    senders = [seen.span("sender") for _ in range(200)]
    records = [make_record(offset=n, headers=[traceparent(each)]) for n, each in enumerate(senders)]
    with seen.hook().handling(Handling(LISTENER, "bill", records, 1, is_batch=True)):
        pass
    span = seen.one("process topic")
    assert span.parent is None
    assert links_of(span) == {each.get_span_context().span_id for each in senders[:128]}
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 200


# -- messages ----------------------------------------------------------------------------


def test_a_message_has_a_span_until_it_is_acknowledged(seen: Seen) -> None:
    hook, message = seen.hook(), outgoing()
    on_outcome = hook.sending(message)
    assert on_outcome is not None
    assert seen.spans == []
    message.partition, message.offset = 2, 9
    on_outcome(None)
    span = seen.one("send out")
    assert span.kind is SpanKind.PRODUCER
    assert list(message.headers) == [traceparent(span)]
    assert about(span) == {
        "messaging.system.name": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "out",
        "messaging.destination.partition.id": "2",
        "kafka.offset": 9,
        "kafka.message.key": "key",
    }
    assert [count for _, count in seen.points("messaging.client.sent.messages")] == [1]
    assert [count for _, count in seen.points("messaging.client.operation.duration")] == [1]


def test_a_message_that_is_not_sent_has_the_error(seen: Seen) -> None:
    acknowledge(seen.hook(), outgoing(), OSError("gone"))
    span = seen.one("send out")
    assert span.status.status_code is StatusCode.ERROR
    assert about(span)["error.type"] == "OSError"
    ((attributes, _),) = seen.points("messaging.client.sent.messages")
    assert attributes["error.type"] == "OSError"


def test_a_message_that_a_handler_sends_is_a_child_of_the_handler(seen: Seen) -> None:
    hook = seen.hook()
    with hook.handling(Handling(LISTENER, "bill", (make_record(),), 1)):
        acknowledge(hook, outgoing())
    assert is_child(seen.one("send out"), seen.one("process topic"))


@pytest.mark.parametrize("purpose", ["send", "retry", "dead letter"])
def test_what_comes_of_a_record_is_a_child_of_its_attempt(seen: Seen, purpose: str) -> None:
    hook, sender = seen.hook(), seen.span("sender")
    record = make_record(headers=[traceparent(sender)])
    handling = Handling(LISTENER, "bill", (record,), 1)
    with hook.handling(handling):
        pass
    headers = () if purpose == "send" else tuple(record.headers)
    message = outgoing(purpose, headers=headers, handling=handling, record=record)
    acknowledge(hook, message)
    span = seen.one("send out")
    assert is_child(span, seen.one("process topic"))
    assert trace_of(span) == trace_of(sender)
    assert list(message.headers) == [traceparent(span)]


def test_a_dead_letter_of_a_batch_stays_in_the_trace_of_its_record(seen: Seen) -> None:
    hook, sender = seen.hook(), seen.span("sender")
    record = make_record(headers=[traceparent(sender)])
    handling = Handling(LISTENER, "bill", (record,), 1, is_batch=True)
    with hook.handling(handling):
        pass
    acknowledge(hook, outgoing("dead letter", handling=handling, record=record))
    span, batch = seen.one("send out"), seen.one("process topic").get_span_context()
    assert is_child(span, sender)
    assert batch is not None
    assert links_of(span) == {batch.span_id}


def test_a_record_that_did_not_parse_keeps_its_trace_as_well(seen: Seen) -> None:
    sender = seen.span("sender")
    record = make_record(headers=[traceparent(sender)])
    acknowledge(seen.hook(), outgoing("dead letter", record=record))
    assert is_child(seen.one("send out"), sender)


def test_a_context_of_the_program_is_kept_and_becomes_a_link(seen: Seen) -> None:
    own = seen.span("own")
    message = outgoing(headers=(traceparent(own),))
    acknowledge(seen.hook(), message)
    assert list(message.headers) == [traceparent(own)]
    assert links_of(seen.one("send out")) == {own.get_span_context().span_id}


# -- calls -------------------------------------------------------------------------------


def begin(hook: OpenTelemetry, call_id: bytes = b"1", origin: Origin = CLIENT) -> Outgoing:
    hook.call_begun(CallBegun(origin, "prices", call_id, "request", 1.0))
    message = Outgoing(origin, "request", "prices", None, b"", (), call_id=call_id)
    assert hook.sending(message) is None
    return message


def settle(
    hook: OpenTelemetry,
    call_id: bytes = b"1",
    outcome: str = "ok",
    error: Exception | None = None,
    origin: Origin = CLIENT,
) -> None:
    hook.call_settled(CallSettled(origin, "prices", call_id, "request", 0.1, outcome, error))


def test_a_call_and_its_request_are_a_pair_of_client_and_server(seen: Seen) -> None:
    hook = seen.hook()
    request = begin(hook, b"id")
    record = make_record("prices", headers=list(request.headers))
    handling = Handling(SERVER, "price", (record,), 1, call_id=b"id")
    with hook.handling(handling):
        pass
    hook.request_handled(RequestHandled(SERVER, "prices", "price", 0.1, "ok", b"id"))
    reply = outgoing("reply", handling=handling, call_id=b"id")
    assert hook.sending(reply) is None
    settle(hook, b"id")
    call, served = seen.one("request prices"), seen.one("process prices")
    assert (call.kind, served.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert is_child(served, call)
    assert list(reply.headers) == [traceparent(served)]
    for span in (call, served):
        assert span.attributes is not None
        assert span.attributes["messaging.message.conversation_id"] == "id"
        assert span.attributes["rpc.method"] == "prices"
        assert span.attributes["rpc.system.name"] == "sdml_kafka"
    assert [count for _, count in seen.points("rpc.client.call.duration")] == [1]
    assert [count for _, count in seen.points("rpc.server.call.duration")] == [1]
    assert seen.points("messaging.process.duration") == []


@pytest.mark.parametrize(("call_id", "is_notification"), [(b"1", True), (None, False)])
def test_what_is_no_call_has_no_duration_of_a_call(
    seen: Seen, call_id: bytes | None, is_notification: bool
) -> None:
    event = RequestHandled(SERVER, "prices", "price", 0.1, "ok", call_id, is_notification)
    seen.hook().request_handled(event)
    assert seen.points("rpc.server.call.duration") == []


def test_a_call_that_fails_has_the_status_of_the_server(seen: Seen) -> None:
    hook = seen.hook()
    begin(hook)
    settle(hook, outcome="RemoteError", error=RemoteError("unavailable", "later"))
    span = seen.one("request prices")
    assert span.status.status_code is StatusCode.ERROR
    assert about(span)["rpc.status_code"] == "unavailable"
    assert about(span)["error.type"] == "unavailable"
    ((attributes, _),) = seen.points("rpc.client.call.duration")
    assert attributes["error.type"] == "unavailable"


def test_a_status_of_a_stranger_is_in_the_span_and_in_no_metric(seen: Seen) -> None:
    hook = seen.hook()
    begin(hook)
    settle(hook, outcome="RemoteError", error=RemoteError("one-of-a-million", "no"))
    assert about(seen.one("request prices"))["rpc.status_code"] == "one-of-a-million"
    ((attributes, _),) = seen.points("rpc.client.call.duration")
    assert attributes["error.type"] == "RemoteError"


def test_calls_of_two_clients_with_one_id_keep_apart(seen: Seen) -> None:
    hook, other = seen.hook(), Origin("rpc", "", "other")
    first, second = begin(hook), begin(hook, origin=other)
    assert first.headers != second.headers
    settle(hook, outcome="CallTimeout")
    settle(hook, origin=other)
    by_client = {about(span)["messaging.client.id"]: span for span in seen.named("request prices")}
    assert by_client["client"].status.status_code is StatusCode.ERROR
    assert by_client["other"].status.status_code is StatusCode.UNSET


def test_a_notification_is_a_message(seen: Seen) -> None:
    hook = seen.hook()
    hook.call_begun(CallBegun(CLIENT, "events", b"1", "notify", 1.0))
    message = Outgoing(CLIENT, "notification", "events", None, b"", (), call_id=b"1")
    assert hook.sending(message) is None
    hook.call_settled(CallSettled(CLIENT, "events", b"1", "notify", 0.1, "ok", None))
    span = seen.one("send events")
    assert span.kind is SpanKind.PRODUCER
    assert list(message.headers) == [traceparent(span)]


# -- batches -----------------------------------------------------------------------------


def test_records_that_were_delivered_together_are_links_of_one_span(seen: Seen) -> None:
    sender = seen.span("sender")
    records = [make_record("orders", 1, headers=[traceparent(sender)]), make_record("orders", 1)]
    where = TopicPartition("orders", 1)
    seen.hook().delivered(Delivered(LISTENER, where, records, ("Order",)))
    span = seen.one("poll orders")
    assert span.kind is SpanKind.CLIENT
    assert span.parent is None
    assert links_of(span) == {sender.get_span_context().span_id}
    assert about(span)["messaging.batch.message_count"] == 2
    assert about(span)["messaging.operation.type"] == "receive"
    assert [count for _, count in seen.points("messaging.client.consumed.messages")] == [2]


def test_many_records_have_the_links_of_the_first(seen: Seen) -> None:
    senders = [seen.span("sender") for _ in range(50)]
    records = [make_record(offset=n, headers=[traceparent(each)]) for n, each in enumerate(senders)]
    seen.hook().delivered(Delivered(LISTENER, TopicPartition("topic", 0), records, ("Order",)))
    assert links_of(seen.one("poll topic")) == {
        each.get_span_context().span_id for each in senders[:16]
    }


def test_a_commit_is_a_span_that_lasts_as_long(seen: Seen) -> None:
    offsets = {TopicPartition("orders", 1): 7}
    seen.hook().committed(Committed(LISTENER, offsets, 0.5))
    span = seen.one("commit orders")
    assert span.kind is SpanKind.CLIENT
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 500_000_000
    assert about(span)["kafka.offset"] == 7
    assert about(span)["messaging.operation.type"] == "settle"


def traced(number: int) -> list[tuple[str, bytes]]:
    return [("traceparent", b"00-%032x-00000000000000ff-01" % number)]


def test_a_commit_has_links_to_what_was_delivered_and_is_settled_by_it(seen: Seen) -> None:
    hook, partition = seen.hook(), TopicPartition("orders", 0)
    records = [make_record("orders", offset=each, headers=traced(each + 1)) for each in range(4)]
    hook.delivered(Delivered(LISTENER, partition, records, ("bill",)))
    hook.commit_failed(FailedCommit(LISTENER, {partition: 4}, 0.1, CommitRejected("late")))
    for offset in (3, 3, 4):
        hook.committed(Committed(LISTENER, {partition: offset}, 0.1))
    hook.delivered(Delivered(LISTENER, partition, records, ("bill",)))
    hook.lost(Lost(LISTENER, frozenset([partition]), 4))
    hook.committed(Committed(LISTENER, {partition: 4}, 0.1))
    linked = [[link.context.trace_id for link in s.links] for s in seen.named("commit orders")]
    assert linked == [[], [1, 2, 3], [], [4], []]


def test_the_links_of_commits_are_bounded(seen: Seen) -> None:
    hook, partition = seen.hook(), TopicPartition("orders", 0)
    for first in range(0, 320, 16):
        batch = range(first, first + 16)
        records = [make_record("orders", offset=each, headers=traced(each + 1)) for each in batch]
        hook.delivered(Delivered(LISTENER, partition, records, ("bill",)))
    hook.committed(Committed(LISTENER, {partition: 320}, 0.1))
    assert len(seen.one("commit orders").links) == 128


def test_a_commit_that_has_failed_says_so(seen: Seen) -> None:
    offsets = {TopicPartition("orders", 1): 7}
    seen.hook().commit_failed(FailedCommit(LISTENER, offsets, 0.5, CommitRejected("too late")))
    span = seen.one("commit orders")
    assert span.status.status_code is StatusCode.ERROR
    assert about(span)["error.type"] == "CommitRejected"
    assert about(span)["kafka.offset"] == 7


def test_a_commit_of_several_topics_names_none(seen: Seen) -> None:
    offsets = {TopicPartition("a", 0): 1, TopicPartition("b", 0): 1}
    seen.hook().committed(Committed(LISTENER, offsets, 0.1))
    assert "messaging.destination.name" not in about(seen.one("commit"))


# -- without spans -----------------------------------------------------------------------


def test_a_trace_that_is_not_sampled_goes_on_in_the_headers() -> None:
    seen = Seen(ALWAYS_OFF)
    hook, message = seen.hook(), outgoing()
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    record = make_record(headers=[("traceparent", parent)])
    with hook.handling(Handling(LISTENER, "bill", (record,), 1)):
        acknowledge(hook, message)
    hook.delivered(Delivered(LISTENER, TopicPartition("a", 0), [record], ("a",)))
    assert seen.spans == []
    ((name, value),) = message.headers
    assert name == "traceparent"
    assert value.startswith(b"00-0af7651916cd43dd8448eb211c80319c-")
    assert value.endswith(b"-00")


def test_without_an_sdk_contexts_pass_through() -> None:
    hook, message = OpenTelemetry(), outgoing()
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    record = make_record(headers=[("traceparent", parent)])
    with hook.handling(Handling(LISTENER, "bill", (record,), 1)):
        acknowledge(hook, message)
    assert list(message.headers) == [("traceparent", parent)]
