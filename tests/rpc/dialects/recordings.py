"""What real services have sent, byte for byte. Written by `tests/interop/record.py`.

Spring Boot 3.5.16 with spring-kafka 3.3.16, and @nestjs/microservices 11.2.6 with kafkajs 2.2.4.
"""

from attrs import frozen


@frozen
class Recorded:
    """A record as it stood in a topic."""

    topic: str
    partition: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None


SPRING_REQUESTS: dict[str, tuple[Recorded, ...]] = {
    "a shared reply topic": (
        Recorded(
            "interop-requests",
            1,
            None,
            (
                ("kafka_replyTopic", b"interop-replies"),
                ("kafka_correlationId", b"\xf7\x8et\\\xe9\xf8A\x19\xbc\x19\xa3y\xcb\xc3.\xba"),
            ),
            b"hello",
        ),
    ),
    "an id of text": (
        Recorded(
            "interop-requests",
            0,
            None,
            (
                ("kafka_replyTopic", b"interop-replies"),
                ("kafka_correlationId", b"6398a000-e958-4c22-8b4d-02e10f50bf13"),
            ),
            b"hello",
        ),
    ),
    "a pinned partition": (
        Recorded(
            "interop-requests",
            2,
            None,
            (
                ("kafka_replyTopic", b"interop-replies"),
                ("kafka_replyPartition", b"\x00\x00\x00\x01"),
                ("kafka_correlationId", b'\x920d\xf2\xb3\x91N\xe5\x96A\xb7D\xc6\x9b\x1c"'),
            ),
            b"hello",
        ),
    ),
    "the caller's partition and key": (
        Recorded(
            "interop-requests",
            2,
            b"k",
            (
                ("kafka_replyPartition", b"\x00\x00\x00\x02"),
                ("kafka_replyTopic", b"interop-replies"),
                ("kafka_correlationId", b"Q\x94l\xe1\xfbYM\xca\xbb\x18R\xe20\x0cji"),
            ),
            b"hello",
        ),
    ),
    "JSON": (
        Recorded(
            "interop-requests",
            0,
            None,
            (
                ("kafka_replyTopic", b"interop-replies"),
                ("kafka_correlationId", b"\xad\x82\xc5\x05\xcdUCz\x9a\xfac\xc8\xd6\t\xbd\t"),
                ("__TypeId__", b"interop.Price"),
            ),
            b'{"item":"apple","cents":120}',
        ),
    ),
}
"""What a `ReplyingKafkaTemplate` sends."""

SPRING_REPLIES: dict[str, tuple[Recorded, ...]] = {
    "plain: hello": (
        Recorded(
            "interop-plain-hello",
            2,
            b"k",
            (("kafka_correlationId", b"\x00\xff\x10\xb3\xaa_L\x0e\x9d/l\x1ez\x8b\x9c\r"),),
            b"HELLO",
        ),
    ),
    "plain: boom": (),
    "plain: null": (),
    "plain: list": (
        Recorded("interop-plain-list", 1, None, (), b"one"),
        Recorded("interop-plain-list", 1, None, (), b"two"),
        Recorded("interop-plain-list", 1, None, (), b"three"),
    ),
    "plain: messages": (
        Recorded(
            "interop-plain-messages",
            2,
            None,
            (("kafka_correlationId", b"\x00\xff\x10\xb3\xaa_L\x0e\x9d/l\x1ez\x8b\x9c\r"),),
            b"one",
        ),
        Recorded(
            "interop-plain-messages",
            2,
            None,
            (("kafka_correlationId", b"\x00\xff\x10\xb3\xaa_L\x0e\x9d/l\x1ez\x8b\x9c\r"),),
            b"two",
        ),
        Recorded(
            "interop-plain-messages",
            2,
            None,
            (("kafka_correlationId", b"\x00\xff\x10\xb3\xaa_L\x0e\x9d/l\x1ez\x8b\x9c\r"),),
            b"three",
        ),
    ),
    "errors: boom": (
        Recorded(
            "interop-errors-boom",
            2,
            None,
            (
                ("kafka_correlationId", b"\x00\xff\x10\xb3\xaa_L\x0e\x9d/l\x1ez\x8b\x9c\r"),
                ("serverSentAnError", b"boom from spring"),
            ),
            b"failed",
        ),
    ),
}
"""What listeners send for a value of SPRING_ID."""

NEST_REQUESTS: dict[str, tuple[Recorded, ...]] = {
    "text": (
        Recorded(
            "interop-one",
            1,
            None,
            (
                ("kafka_correlationId", b"315375e554d43c113f8bc"),
                ("kafka_replyTopic", b"interop-one.reply"),
                ("kafka_replyPartition", b"0"),
            ),
            b"hello",
        ),
    ),
    "an object": (
        Recorded(
            "interop-one",
            2,
            None,
            (
                ("kafka_correlationId", b"15375e554d43c113f8bc8"),
                ("kafka_replyTopic", b"interop-one.reply"),
                ("kafka_replyPartition", b"0"),
            ),
            b'{"item":"apple","cents":120}',
        ),
    ),
    "a key": (
        Recorded(
            "interop-one",
            2,
            b"k",
            (
                ("kafka_correlationId", b"5375e554d43c113f8bc84"),
                ("kafka_replyTopic", b"interop-one.reply"),
                ("kafka_replyPartition", b"0"),
            ),
            b"hello",
        ),
    ),
}
"""What `ClientKafka.send` sends."""

NEST_REPLIES: dict[str, tuple[Recorded, ...]] = {
    "one: hello": (
        Recorded(
            "interop-one-hello",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            b"HELLO",
        ),
    ),
    "one: boom": (
        Recorded(
            "interop-one-boom",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-err", b'{"status":"error","message":"boom"}'),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            None,
        ),
    ),
    "one: boom-object": (
        Recorded(
            "interop-one-boom-object",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-err", b'{"status":"not_found","message":"no such thing"}'),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            None,
        ),
    ),
    "one: boom-plain": (
        Recorded(
            "interop-one-boom-plain",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-err", b'{"status":"error","message":"Internal server error"}'),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            None,
        ),
    ),
    "one: null": (
        Recorded(
            "interop-one-null",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            None,
        ),
    ),
    "stream: three": (
        Recorded(
            "interop-stream-three",
            2,
            None,
            (("kafka_correlationId", b"7c9e6679a42d40de944b0"),),
            b"three-1",
        ),
        Recorded(
            "interop-stream-three",
            2,
            None,
            (("kafka_correlationId", b"7c9e6679a42d40de944b0"),),
            b"three-2",
        ),
        Recorded(
            "interop-stream-three",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            b"three-3",
        ),
    ),
    "stream: late": (
        Recorded(
            "interop-stream-late",
            2,
            None,
            (("kafka_correlationId", b"7c9e6679a42d40de944b0"),),
            b"late-1",
        ),
        Recorded(
            "interop-stream-late",
            2,
            None,
            (("kafka_correlationId", b"7c9e6679a42d40de944b0"),),
            b"late-2",
        ),
        Recorded(
            "interop-stream-late",
            2,
            None,
            (("kafka_correlationId", b"7c9e6679a42d40de944b0"),),
            b"late-3",
        ),
        Recorded(
            "interop-stream-late",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            None,
        ),
    ),
    "stream: boom": (
        Recorded(
            "interop-stream-boom",
            2,
            None,
            (("kafka_correlationId", b"7c9e6679a42d40de944b0"),),
            b"boom-1",
        ),
        Recorded(
            "interop-stream-boom",
            2,
            None,
            (
                ("kafka_correlationId", b"7c9e6679a42d40de944b0"),
                ("kafka_nest-err", b'{"status":"error","message":"boom mid-stream"}'),
                ("kafka_nest-is-disposed", b"\x00"),
            ),
            None,
        ),
    ),
}
"""What a controller sends for a value of NEST_ID."""
