"""Offset maps: what is written is read again, and what others write is read or ignored."""

import random
import time
from base64 import b64decode, b64encode

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.consuming.offsets import offset_map
from sdml_kafka.consuming.offsets.offset_map import (
    ALWAYS_FITS,
    FULL_TEXT,
    INTERVAL_TEXT,
    MAX_INTERVALS,
    MAX_SPAN,
    MAX_TEXT,
    MAX_UNPACKED,
    Interval,
    decode,
    encode,
    merged,
)


@st.composite
def maps(draw: st.DrawFn) -> tuple[int, list[Interval]]:
    base = draw(st.integers(0, 1 << 50))
    length = st.one_of(st.integers(1, 5), st.integers(1, 100_000))
    runs = draw(st.lists(st.tuples(length, length), max_size=30))
    finished: list[Interval] = []
    at = base
    for unfinished, run in runs:
        finished.append((at + unfinished, at + unfinished + run))
        at = finished[-1][1]
    return base, finished


@given(maps())
def test_a_map_is_read_as_it_was_written(given_map: tuple[int, list[Interval]]) -> None:
    base, finished = given_map
    text = encode(base, finished)
    if text is None:
        assert finished[-1][1] - base > ALWAYS_FITS
    else:
        assert decode(base, text) == finished


def test_nothing_finished_is_no_metadata() -> None:
    assert encode(7, []) == ""
    assert decode(7, "") == []


def test_runs_are_written_as_parallel_consumer_writes_them() -> None:
    # This was seen in a commit of parallel-consumer 0.5.3.3 at offset 20.
    assert encode(20, [(21, 321)]) == "bgABASw="
    assert decode(20, "bgABASw=") == [(21, 321)]


def test_a_bit_set_is_padded_as_parallel_consumer_pads_it() -> None:
    every_other = [(at, at + 1) for at in range(1, 31, 2)]
    text = encode(0, every_other)
    assert text is not None
    data = b64decode(text)
    # The magic byte, the number of bits, the bits, and one byte more than they need.
    assert data == b"l" + (30).to_bytes(2, "big") + b"\xaa\xaa\xaa\x2a" + b"\0"


@pytest.mark.parametrize(
    ("base", "finished"),
    [
        (0, [(40_000, 40_001)]),  # more than 16 bits
        (5, [(6, 80_000)]),
    ],
)
def test_long_runs_take_four_bytes(base: int, finished: list[Interval]) -> None:
    text = encode(base, finished)
    assert text is not None
    assert b64decode(text)[:1] == b"e"
    assert decode(base, text) == finished


def test_all_eight_encodings_are_read() -> None:
    bits16 = (10).to_bytes(2, "big") + b"\x06\x02" + b"\0"
    bits32 = (10).to_bytes(4, "big") + b"\x06\x02" + b"\0"
    runs16 = b"".join(run.to_bytes(2, "big") for run in (1, 2, 6, 1))
    runs32 = b"".join(run.to_bytes(4, "big") for run in (1, 2, 6, 1))
    for plain, packed, body in (
        (b"l", b"a", bits16),
        (b"o", b"s", bits32),
        (b"n", b"J", runs16),
        (b"e", b"p", runs32),
    ):
        assert decode(100, b64encode(plain + body).decode()) == [(101, 103), (109, 110)]
        zipped = packed + bytes(cramjam.zstd.compress(body))
        assert decode(100, b64encode(zipped).decode()) == [(101, 103), (109, 110)]


def test_a_long_regular_map_is_packed() -> None:
    finished = [(at, at + 1) for at in range(1, 100_000, 3)]
    text = encode(0, finished)
    assert text is not None
    assert b64decode(text)[:1] in b"asJp"
    assert len(text) < 200
    assert decode(0, text) == finished


def random_map(span: int) -> list[Interval]:
    chance = random.Random(7)
    return merged((at, at + 1) for at in range(1, span) if chance.random() < 0.5)


def test_a_map_of_a_span_that_always_fits_is_never_full() -> None:
    text = encode(0, random_map(ALWAYS_FITS))
    assert text is not None
    assert 0.95 * FULL_TEXT < len(text) <= FULL_TEXT


@pytest.mark.parametrize("seed", range(20))
def test_an_interval_takes_no_more_than_is_reckoned_with(seed: int) -> None:
    chance = random.Random(seed)
    longest = chance.choice([1, 3, 100, 8000]), chance.choice([1, 100, 8000, 32_766])
    finished, at = list[Interval](), 0
    for _ in range(FULL_TEXT // INTERVAL_TEXT):
        start = at + chance.randint(1, longest[0])
        at = start + int((longest[1] + 1) ** chance.random())
        finished.append((start, at))
    far = [*finished[:-1], (finished[-1][0], at + 100_000)]  # which takes four bytes for each run
    for each in (finished, far):
        text = encode(0, each)
        assert text
        assert len(text) < 1.02 * FULL_TEXT


def test_no_bits_are_written_of_what_runs_take_less_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_map, "_bits", lambda *_: pytest.fail("it would take long"))
    finished = [(at + 1, at + 1000) for at in range(0, 500_000, 1000)]
    assert len(encode(0, finished) or "") < FULL_TEXT


def test_a_map_that_is_too_long_is_left_out() -> None:
    assert encode(0, random_map(40_000)) is None
    assert encode(0, [(MAX_SPAN, MAX_SPAN + 1)]) is None


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda data: b64encode(data).decode()))
def test_a_foreign_map_is_ignored_or_read_as_intervals(text: str) -> None:
    finished = decode(10, text)
    assert finished == merged(finished)
    assert all(10 <= start < end for start, end in finished)


@pytest.mark.parametrize("magic", [b"l", b"o", b"n", b"e", b"a", b"s", b"J", b"p"])
@given(body=st.binary(max_size=40))
def test_a_broken_map_never_raises(magic: bytes, body: bytes) -> None:
    decode(10, b64encode(magic + body).decode())
    decode(10, b64encode(magic + bytes(cramjam.zstd.compress(body))).decode())


def test_a_map_that_unpacks_to_too_much_is_ignored() -> None:
    body = (8 * 2 * MAX_UNPACKED).to_bytes(4, "big") + b"\xff" * 2 * MAX_UNPACKED
    text = b64encode(b"s" + bytes(cramjam.zstd.compress(body))).decode()
    assert len(text) <= MAX_TEXT
    assert decode(0, text) == []


@pytest.mark.parametrize("count", [MAX_INTERVALS, MAX_INTERVALS + 1])
def test_a_map_of_too_many_intervals_is_ignored(count: int) -> None:
    bits = (2 * count).to_bytes(4, "big") + b"\xaa" * (count // 4 + 1)
    runs = b"\x00\x01" * 2 * count
    for body in (
        b"s" + bytes(cramjam.zstd.compress(bits)),
        b"J" + bytes(cramjam.zstd.compress(runs)),
    ):
        text = b64encode(body).decode()
        assert len(text) <= MAX_TEXT
        assert len(decode(0, text)) == (count if count == MAX_INTERVALS else 0)


def test_runs_beyond_every_bound_are_ignored() -> None:
    assert decode(0, b64encode(b"e" + (2**31 - 1).to_bytes(4, "big") * 2).decode()) == []


def test_a_map_of_the_largest_span_takes_no_time() -> None:
    began = time.process_time()
    text = encode(0, [(1, 2), (MAX_SPAN - 1, MAX_SPAN)])
    assert text is not None
    decode(0, text)
    assert time.process_time() - began < 2.0
