"""Answers of a broker, written by hand, for tests that read them."""

from collections.abc import Mapping, Sequence

from sdml_kafka.transport.inspection.wire import (
    NO_TAGS,
    array,
    boolean,
    int8,
    int32,
    int64,
    struct,
    text,
    varint,
)

Address = tuple[str, int]
NO_THROTTLE = int32(0)
EVERYTHING = {key: (0, 99) for key in (2, 3, 9, 10, 15, 18, 32, 55, 65, 69)}


def int16(value: int) -> bytes:
    return value.to_bytes(2, "big", signed=True)


def behind_header(*parts: bytes) -> bytes:
    return NO_TAGS + struct(*parts)


def versions(
    apis: Mapping[int, tuple[int, int]] = EVERYTHING, features: Mapping[str, int] | None = None
) -> bytes:
    known = [struct(int16(key), int16(least), int16(most)) for key, (least, most) in apis.items()]
    levels = array(
        list((features or {}).items()),
        lambda item: struct(text(item[0]), int16(item[1]), int16(item[1])),
    )
    tags = varint(1) + varint(2) + varint(len(levels)) + levels
    return int16(0) + array(known, bytes) + NO_THROTTLE + tags


def partition(number: int, leader: int, replicas: Sequence[int], in_sync: Sequence[int]) -> bytes:
    numbers = int16(0), int32(number), int32(leader), int32(0)
    return struct(*numbers, array(replicas, int32), array(in_sync, int32), array([], int32))


def topic(name: str, *partitions: bytes, error: int = 0, rights: int = -(1 << 31)) -> bytes:
    begin = int16(error), text(name), boolean(False)
    return struct(*begin, array(partitions, bytes), int32(rights))


def metadata(
    brokers: Mapping[int, Address], *topics: bytes, cluster: str = "cluster", controller: int = 0
) -> bytes:
    known = [
        struct(int32(node), text(host), int32(port), text(None))
        for node, (host, port) in brokers.items()
    ]
    return behind_header(
        NO_THROTTLE,
        array(known, bytes),
        text(cluster),
        int32(controller),
        array(topics, bytes),
        int32(-(1 << 31)),
    )


def configs(values: Mapping[str, Mapping[str, str | None]], secrets: Sequence[str] = ()) -> bytes:
    def entry(item: tuple[str, str | None]) -> bytes:
        name, value = item
        synonym = struct(text(name), text(value), int8(5))
        return struct(
            text(name),
            text(value),
            boolean(False),
            int8(5),
            boolean(name in secrets),
            array([synonym], bytes),
            int8(2),
            text(None),
        )

    results = [
        struct(int16(0), text(None), int8(2), text(name), array(list(found.items()), entry))
        for name, found in values.items()
    ]
    return behind_header(NO_THROTTLE, array(results, bytes))


def quorum(leader: int, voters: Mapping[int, int]) -> bytes:
    def voter(item: tuple[int, int]) -> bytes:
        node, time_ms = item
        return struct(int32(node), int64(7), int64(time_ms), int64(time_ms))

    place = int32(0), int16(0), int32(leader), int32(1), int64(7)
    states = array(list(voters.items()), voter) + array([], bytes)
    partitions = array([struct(*place, states)], bytes)
    return behind_header(int16(0), array([struct(text("__cluster_metadata"), partitions)], bytes))


def coordinator(node: int, address: Address, error: int = 0) -> bytes:
    host, port = address
    return behind_header(
        NO_THROTTLE, int16(error), text(None), int32(node), text(host), int32(port)
    )


def short_text(value: str) -> bytes:
    return int16(len(value.encode())) + value.encode()


def subscription(*topics: str) -> bytes:
    return int16(0) + int32(len(topics)) + b"".join(map(short_text, topics)) + int32(-1)


def assignment(topic: str, *numbers: int) -> bytes:
    parts = b"".join(map(int32, numbers))
    return int16(0) + int32(1) + short_text(topic) + int32(len(numbers)) + parts + int32(-1)


def data(value: bytes) -> bytes:
    return varint(len(value) + 1) + value


def classic_member(name: str, subscribed: bytes, assigned: bytes) -> bytes:
    texts = [text(name), text(None), text("app"), text("/10.0.0.1")]
    return struct(*texts, data(subscribed), data(assigned))


def classic_group(name: str, state: str, *members: bytes, error: int = 0) -> bytes:
    begin = int16(error), text(name), text(state), text("consumer"), text("range")
    group = struct(*begin, array(members, bytes), int32(8))
    return behind_header(NO_THROTTLE, array([group], bytes))


def consumer_member(name: str, topic: str, *numbers: int, pattern: str | None = None) -> bytes:
    has = struct(array([struct(bytes(16), text(topic), array(numbers, int32))], bytes))
    ids = text(name), text(None), text(None), int32(3), text("app"), text("/10.0.0.1")
    return struct(*ids, array([topic], text), text(pattern), has, has)


def consumer_group(name: str, state: str, *members: bytes, error: int = 0) -> bytes:
    begin = int16(error), text(None), text(name), text(state), int32(3), int32(3), text("uniform")
    group = struct(*begin, array(members, bytes), int32(8))
    return behind_header(NO_THROTTLE, array([group], bytes))


def committed(topic: str, offsets: Mapping[int, int]) -> bytes:
    def of_partition(item: tuple[int, int]) -> bytes:
        number, offset = item
        return struct(int32(number), int64(offset), int32(-1), text(""), int16(0))

    topics = [struct(text(topic), array(list(offsets.items()), of_partition))]
    return behind_header(NO_THROTTLE, array(topics, bytes), int16(0))


def transaction(id_: str, error: int = 0) -> bytes:
    numbers = int32(0), int64(-1), int64(-1), int16(-1)
    topics = array([struct(text("orders"), array([0], int32))] if not error else [], bytes)
    state = struct(int16(error), text(id_), text(""), *numbers, topics)
    return behind_header(NO_THROTTLE, array([state], bytes))


def offsets(topic: str, places: Mapping[int, int]) -> bytes:
    def of_partition(item: tuple[int, int]) -> bytes:
        number, offset = item
        return struct(int32(number), int16(0), int64(-1), int64(offset), int32(0))

    topics = [struct(text(topic), array(list(places.items()), of_partition))]
    return behind_header(NO_THROTTLE, array(topics, bytes))
