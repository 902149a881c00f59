"""A queue's partitions take turns of so many records."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.dropped import Dropped
from sdml_kafka.listener.typed_queue import TURN, Parcel, TypedQueue
from tests.support.records import make_record


def parcel_of(tenancy: Tenancy, first: int, count: int) -> Parcel:
    offsets = range(first, first + count)
    chunk = tenancy.deliver(offsets, b"\1" * count, 0.0)
    records = [make_record("topic", tenancy.partition, offset=offset) for offset in offsets]
    return Parcel(chunk, records, range(count), records)


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(1, 200), max_size=4), min_size=1, max_size=4))
def test_a_partition_that_has_records_is_at_most_a_turn_behind(sizes: list[list[int]]) -> None:
    ledger = Ledger()
    tenancies = [ledger.open("topic", number, 1, 0, None) for number in range(len(sizes))]
    queue = TypedQueue(str, 1e9, lambda: None, lambda queue: None, Dropped(lambda record: None))
    for tenancy, counts in zip(tenancies, sizes, strict=True):
        first = 0
        for count in counts:
            queue.put(parcel_of(tenancy, first, count))
            first += count
    totals = list(map(sum, sizes))
    taken = [0] * len(sizes)
    while (parcel := queue.take_parcel()) is not None:
        number = parcel.chunk.tenancy.partition
        assert parcel.offset == taken[number]  # each in the order of its offsets
        taken[number] += parcel.end - parcel.next
        waiting = [done for done, total in zip(taken, totals, strict=True) if done < total]
        assert not waiting or max(waiting) - min(waiting) <= TURN
    assert taken == totals
