"""The offset map: what has finished beyond the frontier, as text for a commit's metadata.

How this works. A map begins at the committed offset, which has not finished, and ends with the
highest offset that has. It is one byte for the encoding, then either a set of bits or the lengths
of runs, as Base64. Of all encodings the shortest is written, packed with zstd if none is short. The
bytes are those of Confluent's parallel-consumer 0.5.3.3, so that a service in Java may take over a
partition, and give it back.

Writing one takes a step for each run, however many offsets the runs span: a set of bits is tried
only where it may be shorter.

Rules for whoever edits this file:

- A map is a help and no promise: one that cannot be read means no more than repeats. So reading
  never raises, and whatever comes from the wire is bounded before it is unpacked.
- Offsets that no record has, such as those of transaction markers, count as finished.
"""

import struct
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import sub
from re import compile as pattern

import cramjam

MAX_TEXT = 4096
"""The characters of metadata that a broker takes with a commit, on Kafka's own settings."""
FULL_TEXT = MAX_TEXT * 3 // 4
"""The characters above which nothing new should begin beyond what has finished."""
MAX_UNPACKED = 1 << 20
"""The bytes of a map that are unpacked at most, for one that would be longer is not read."""
MAX_SPAN = 1 << 23
"""The offsets from the base to the end of a map that is written or read: a bit each fills
`MAX_UNPACKED`."""
MAX_INTERVALS = 1 << 17
"""The intervals of a map that is read, since packed each may take less than a bit."""
WORTH_PACKING = 200
"""The bytes from which on a map is packed as well."""
OFFSETS_PER_RUN = 32
"""The offsets for each run up to which a set of bits may be shorter than the runs, both packed."""
INTERVAL_TEXT = 6
"""The characters that each of hundreds of intervals takes if the lengths of runs are nothing but
chance. Others take less."""
ALWAYS_FITS = (FULL_TEXT * 3 // 4 - 6) * 8 - 8
"""The offsets that a map may span and be no longer than `FULL_TEXT`, whatever has finished."""

Interval = tuple[int, int]
"""Offsets from the first number up to and without the second one."""

_PACKED = {b"l": b"a", b"o": b"s", b"n": b"J", b"e": b"p"}
"""The byte for each encoding when it is packed with zstd."""
_PLAIN = {packed: plain for plain, packed in _PACKED.items()}
_ONES = pattern(b"1+")


def encode(base: int, finished: Sequence[Interval]) -> str | None:
    """Return the map of what has finished beyond `base`.

    Args:
        base: The committed offset, which has not finished.
        finished: What has, in order and apart from each other.

    Returns:
        The text, empty if nothing has finished; None if it would be too long for a commit.
    """
    if not finished:
        return ""
    span = finished[-1][1] - base
    if span > MAX_SPAN:
        return None
    plain = list(_plain_encodings(base, span, finished))
    shortest = min(plain, key=len)
    if len(shortest) > WORTH_PACKING:
        packed = [_PACKED[each[:1]] + bytes(cramjam.zstd.compress(each[1:])) for each in plain]
        shortest = min(shortest, *packed, key=len)
    text = b64encode(shortest).decode()
    return text if len(text) <= MAX_TEXT else None


def _plain_encodings(base: int, span: int, finished: Sequence[Interval]) -> Iterator[bytes]:
    edges = [base, *chain.from_iterable(finished)]
    runs = list(map(sub, edges[1:], edges))
    if max(runs) <= 0x7FFF:
        yield b"n" + struct.pack(f">{len(runs)}h", *runs)
    else:
        yield b"e" + struct.pack(f">{len(runs)}i", *runs)
    if span > max(0x7FFF, OFFSETS_PER_RUN * len(runs)):
        return
    bits = _bits(base, span, finished)
    if span <= 0x7FFF:
        yield b"l" + struct.pack(">h", span) + bits
    else:
        yield b"o" + struct.pack(">i", span) + bits


def _bits(base: int, span: int, finished: Sequence[Interval]) -> bytes:
    """Return a bit for each offset, the lowest one of a byte first, 1 if it has finished.

    It takes a step for each interval, and not for each offset: spans may be long.
    """
    bits = bytearray((span + 7) // 8 + 1)
    for start, end in finished:
        first, last = (start - base) >> 3, (end - base) >> 3
        from_start, below_end = 0xFF << ((start - base) & 7) & 0xFF, (1 << ((end - base) & 7)) - 1
        if first == last:
            bits[first] |= from_start & below_end
        else:
            bits[first] |= from_start
            bits[first + 1 : last] = b"\xff" * (last - first - 1)
            bits[last] |= below_end
    return bytes(bits)


def decode(base: int, text: str) -> list[Interval]:
    """Return what a map says has finished beyond `base`; nothing if it cannot be read."""
    try:
        return list(_decode(base, text))
    except (NotBase64, ValueError, struct.error, cramjam.DecompressionError):
        return []


def _decode(base: int, text: str) -> Iterable[Interval]:
    if not 0 < len(text) <= MAX_TEXT:
        return []
    data = b64decode(text.encode("ascii"), validate=True)
    kind, body = data[:1], data[1:]
    if kind in _PLAIN:
        kind, body = _PLAIN[kind], _unpack(body)
    match kind:
        case b"l":
            (span,) = struct.unpack_from(">h", body)
            return _from_bits(base, span, body[2:])
        case b"o":
            (span,) = struct.unpack_from(">i", body)
            return _from_bits(base, span, body[4:])
        case b"n":
            return _from_runs(base, struct.unpack(f">{len(body) // 2}h", body))
        case b"e":
            return _from_runs(base, struct.unpack(f">{len(body) // 4}i", body))
        case _:
            return []


def _unpack(body: bytes) -> bytes:
    unpacked = bytearray(MAX_UNPACKED + 8)
    return bytes(unpacked[: cramjam.zstd.decompress_into(body, unpacked)])


def _from_bits(base: int, span: int, body: bytes) -> Iterable[Interval]:
    if not 0 < span <= min(MAX_SPAN, len(body) * 8):
        raise ValueError("the set of bits is shorter than it says, or too long")
    bits = int.from_bytes(body, "little") & ((1 << span) - 1)
    digits = f"{bits:b}"[::-1].encode()
    return [(base + match.start(), base + match.end()) for match in _few(_ONES.finditer(digits))]


def _from_runs(base: int, runs: Sequence[int]) -> Iterable[Interval]:
    if any(run < 0 for run in runs) or sum(runs) > MAX_SPAN:
        raise ValueError("a run is negative, or all of them are too long")
    edges = list(accumulate(runs, initial=base))
    return merged(_few(zip(edges[1::2], edges[2::2], strict=False)))


def _few[T](intervals: Iterable[T]) -> list[T]:
    few = list(islice(intervals, MAX_INTERVALS + 1))
    if len(few) > MAX_INTERVALS:
        raise ValueError("there are too many intervals")
    return few


def outside(offsets: Iterable[int], finished: Sequence[Interval]) -> list[bool]:
    """Return for each offset whether it is in none of the intervals, which are in order."""
    ends = [end for _, end in finished]
    return [
        (at := bisect_right(ends, offset)) == len(ends) or offset < finished[at][0]
        for offset in offsets
    ]


def step_over(offset: int, finished: Sequence[Interval]) -> int:
    """Return the first offset from this one on that is in none of the intervals."""
    at = bisect_right(finished, offset, key=_end)
    return finished[at][1] if at < len(finished) and finished[at][0] <= offset else offset


def _end(interval: Interval) -> int:
    return interval[1]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return intervals that are in order as those that are apart from each other; none is empty."""
    result: list[Interval] = []
    for start, end in intervals:
        if start == end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        else:
            result.append((start, end))
    return result


def without(intervals: Iterable[Interval], offsets: Sequence[int]) -> Iterator[Interval]:
    """Return intervals without some of the offsets in them, both in order."""
    at = 0
    for start, end in intervals:
        while at < len(offsets) and offsets[at] < end:
            if start < offsets[at]:
                yield start, offsets[at]
            start = offsets[at] + 1
            at += 1
        if start < end:
            yield start, end
