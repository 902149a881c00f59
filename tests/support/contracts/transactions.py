"""The contract of the port's `TransactionalProducer`, which drivers keep on each event loop."""

from collections.abc import Sequence

import anyio
import pytest

from sdml_kafka.errors import (
    CommitRejected,
    PayloadTooLarge,
    ProducerFenced,
    SendFailed,
    TopicMissing,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from tests.support.contracts.consumer_world import (
    CALL_S,
    PATIENCE_S,
    numbered,
    partitions,
    poll_until,
    releasing,
    seat,
    share_out,
)
from tests.support.contracts.transactions_world import (
    Failures,
    TransactionsWorld,
    offsets_of,
    started,
)
from tests.support.waiting import BUSY_S

SHORT_S = 0.5
TOO_LARGE = bytes(1 << 21)


async def read(
    world: TransactionsWorld, partition: TopicPartition, expected: Sequence[bytes | None]
) -> None:
    """Wait until readers of committed records get just these.

    A broker writes down that a transaction is committed, answers, and then notifies the partitions.
    """
    with anyio.move_on_after(PATIENCE_S):
        while await world.values(partition) != expected:  # noqa: ASYNC110  (Kafka notifies nobody)
            await anyio.sleep(0.01)
    assert await world.values(partition) == expected


async def committed(
    world: TransactionsWorld, group: str, key: TopicPartition, expected: int
) -> None:
    """Wait until the group has committed that; see `read`."""
    with anyio.move_on_after(PATIENCE_S):
        while await world.committed(group, key) != expected:  # noqa: ASYNC110  (Kafka notifies nobody)
            await anyio.sleep(0.01)
    assert await world.committed(group, key) == expected


class Place:
    """A receipt that keeps what it is given."""

    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        self.places.append((partition, offset))


class TransactionsContract:
    @pytest.fixture
    async def topic(self, world: TransactionsWorld) -> str:
        topic = world.name()
        await world.create_topic(topic, 2)
        return topic

    @pytest.fixture
    def failures(self, anyio_backend: object) -> Failures:
        return Failures()

    # -- records -------------------------------------------------------------------------

    async def test_records_are_read_once_their_transaction_is_committed(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, p1 = partitions(topic, 2)
        async with started(world.connect()) as producer:
            for first in (0, 50):
                messages = [Message(topic, each, partition=0) for each in numbered(50, first)]
                failures.send(producer, *messages, Message(topic, b"%d" % first, partition=1))
                assert await producer.flush(CALL_S)
                await read(world, p0, numbered(first))
                await producer.commit(None, CALL_S)
            await read(world, p0, numbered(100))
            await read(world, p1, [b"0", b"50"])
        assert not failures.errors

    async def test_an_aborted_transaction_is_never_read(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with started(world.connect()) as producer:
            failures.send(producer, Message(topic, b"aborted", partition=0))
            assert await producer.flush(CALL_S)
            await producer.abort(CALL_S)
            failures.send(producer, Message(topic, b"committed", partition=0))
            await producer.commit(None, CALL_S)
            failures.send(producer, Message(topic, b"left", partition=0))
            await producer.flush(CALL_S)
        await read(world, p0, [b"committed"])

    async def test_what_is_empty_can_be_committed_and_aborted(
        self, world: TransactionsWorld
    ) -> None:
        async with started(world.connect()) as producer:
            for _ in range(2):
                await producer.commit(None, CALL_S)
                await producer.abort(CALL_S)
            assert await producer.flush(CALL_S)

    async def test_a_receipt_takes_the_place_of_its_record(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        place = Place()
        async with started(world.connect()) as producer:
            messages = [Message(topic, b"", partition=1, receipt=place) for _ in range(2)]
            failures.send(producer, *messages)
            assert await producer.flush(CALL_S)
            assert place.places == [(1, 0), (1, 1)]
            await producer.commit(None, CALL_S)

    @pytest.mark.parametrize(
        ("value", "is_missing", "error"),
        [
            pytest.param(b"", True, TopicMissing, id="no topic"),
            pytest.param(TOO_LARGE, False, PayloadTooLarge, id="too large"),
        ],
    )
    async def test_a_record_that_is_refused_spoils_its_transaction(
        self,
        world: TransactionsWorld,
        topic: str,
        failures: Failures,
        value: bytes,
        is_missing: bool,
        error: type[Exception],
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with started(world.connect()) as producer:
            failures.send(producer, Message(topic, b"before", partition=0))
            failures.send(producer, Message(world.name() if is_missing else topic, value))
            failures.send(producer, Message(topic, b"behind", partition=0))
            with pytest.raises(TransactionFailed) as raised:
                await producer.commit(None, CALL_S)
            assert isinstance(raised.value.__cause__, error)
            assert sum(isinstance(each, error) for each in failures.errors) == 1
            assert {type(each) for each in failures.errors} <= {error, SendFailed}
            with pytest.raises(TransactionFailed):
                await producer.commit(None, CALL_S)
            await producer.abort(CALL_S)

            failures.send(producer, Message(topic, b"anew", partition=0))
            await producer.commit(None, CALL_S)
        await read(world, p0, [b"anew"])

    # -- offsets -------------------------------------------------------------------------

    async def test_offsets_are_committed_with_the_records_or_not_at_all(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        group, output = world.name(), world.name()
        await world.create_topic(output, 1)
        p0, p1 = partitions(topic, 2)
        connect = world.connect_consumer(group)
        async with started(world.connect()) as producer:
            async with seat(connect, topic) as member:
                failures.send(producer, *(Message(topic, b"", partition=n) for n in (0, 0, 1)))
                await producer.commit(None, CALL_S)
                await share_out(2, member)
                await poll_until(lambda: member.count == 3, member)

                failures.send(producer, Message(output, b"one"))
                await producer.commit(await offsets_of(member, {p0: 1}), CALL_S)
                await committed(world, group, p0, 1)

                failures.send(producer, Message(output, b"two"))
                await producer.flush(CALL_S)
                await producer.abort(CALL_S)
                await producer.commit(await offsets_of(member, {p0: 2, p1: 1}), CALL_S)
                await committed(world, group, p0, 2)
            async with seat(connect, topic) as successor:
                await share_out(2, successor)
                assert successor.assignment is not None
                assert successor.assignment.committed == {
                    p0: Commit(2, "map"),
                    p1: Commit(1, "map"),
                }
        await read(world, TopicPartition(output, 0), [b"one"])

    async def test_the_group_refuses_who_has_been_replaced_meanwhile(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        group = world.name()
        p0, p1 = partitions(topic, 2)
        connect = world.connect_consumer(group)
        async with started(world.connect()) as producer, seat(connect, topic) as first:
            await share_out(2, first)
            before = await offsets_of(first, {p0: 0, p1: 0})
            epoch = first.last_epoch
            async with seat(connect, topic) as second, releasing(first, second):
                await share_out(2, first, second)

                failures.send(producer, Message(topic, b"", partition=0))
                with pytest.raises(TransactionFailed):
                    await producer.commit(before, CALL_S)
                await producer.abort(CALL_S)
                assert await world.committed(group, p0) is None

                (kept,) = first.partitions
                (lost,) = second.partitions
                with pytest.raises(CommitRejected):
                    await first.consumer.group_metadata(epoch, [lost], CALL_S)
                failures.send(producer, Message(topic, b"", partition=0))
                await producer.commit(await offsets_of(first, {kept: 0}), CALL_S)
                await committed(world, group, kept, 0)
                assert await world.committed(group, lost) is None

    async def test_a_member_that_has_left_commits_nothing(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with started(world.connect()) as producer:
            async with seat(world.connect_consumer(world.name()), topic) as member:
                await share_out(2, member)
                offsets = await offsets_of(member, {p0: 0})
            with pytest.raises(CommitRejected):
                await member.consumer.group_metadata(member.last_epoch, [p0], CALL_S)
            failures.send(producer, Message(topic, b"", partition=0))
            with pytest.raises(TransactionFailed):
                await producer.commit(offsets, CALL_S)
            await producer.abort(CALL_S)
        assert await world.values(p0) == []

    async def test_a_new_owner_begins_behind_what_a_transaction_is_about_to_commit(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, p1 = partitions(topic, 2)
        connect = world.connect_consumer(world.name())
        async with started(world.connect()) as producer:
            failures.send(producer, *(Message(topic, b"", partition=n) for n in (0, 0, 1)))
            await producer.commit(None, CALL_S)
        async with seat(connect, topic) as member:
            await share_out(2, member)
            await poll_until(lambda: member.count == 3, member)
            commit = await world.prepare(await offsets_of(member, {p0: 2, p1: 1}))
        async with seat(connect, topic) as successor:
            with anyio.move_on_after(2):
                await poll_until(lambda: successor.partitions, successor)
            assert not successor.partitions
            await commit()
            await share_out(2, successor)
            assert successor.assignment is not None
            assert successor.assignment.committed == {p0: Commit(2, "map"), p1: Commit(1, "map")}
            assert min(successor.position(p0), successor.position(p1) + 1) >= 2

    # -- fences --------------------------------------------------------------------------

    async def test_a_producer_with_the_same_id_fences_the_one_before(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, _ = partitions(topic, 2)
        connect = world.connect(world.name())
        async with started(connect) as former:
            failures.send(former, Message(topic, b"former", partition=0))
            await former.flush(CALL_S)
            async with started(connect) as latter:
                failures.send(latter, Message(topic, b"latter", partition=0))
                await latter.commit(None, CALL_S)
                failures.send(former, Message(topic, b"late", partition=0))
                with pytest.raises((ProducerFenced, TransactionFailed)):
                    await former.commit(None, CALL_S)
                with pytest.raises(ProducerFenced):
                    await former.abort(CALL_S)
                failures.send(latter, Message(topic, b"after", partition=0))
                await latter.commit(None, CALL_S)
        await read(world, p0, [b"latter", b"after"])
        assert {type(each) for each in failures.errors} <= {SendFailed}

    # -- outages -------------------------------------------------------------------------

    async def test_a_commit_in_doubt_goes_on_with_the_next_call(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with started(world.connect()) as producer:
            failures.send(producer, Message(topic, b"one", partition=0))
            await producer.flush(CALL_S)
            await world.go_away()
            try:
                for _ in range(2):
                    with pytest.raises(TransactionInDoubt):
                        await producer.commit(None, SHORT_S)
                with pytest.raises(TransactionInDoubt):
                    await producer.abort(SHORT_S)
            finally:
                await world.come_back()
            await producer.commit(None, CALL_S)
            await read(world, p0, [b"one"])
            failures.send(producer, Message(topic, b"two", partition=0))
            await producer.commit(None, CALL_S)
        await read(world, p0, [b"one", b"two"])

    async def test_an_abort_in_doubt_goes_on_with_the_next_call(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with started(world.connect()) as producer:
            failures.send(producer, Message(topic, b"one", partition=0))
            await producer.flush(CALL_S)
            await world.go_away()
            try:
                with pytest.raises(TransactionInDoubt):
                    await producer.abort(SHORT_S)
            finally:
                await world.come_back()
            await producer.abort(CALL_S)
            failures.send(producer, Message(topic, b"two", partition=0))
            await producer.commit(None, CALL_S)
        await read(world, p0, [b"two"])

    async def test_a_commit_that_is_cancelled_goes_on_with_the_next_call(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        p0, _ = partitions(topic, 2)
        async with started(world.connect()) as producer:
            for count in range(4):
                failures.send(producer, Message(topic, b"%d" % count, partition=0))
                with anyio.move_on_after(0.002 * count) as scope:
                    await producer.commit(None, CALL_S)
                if scope.cancelled_caught:
                    await producer.commit(None, CALL_S)
            await read(world, p0, numbered(4))

    async def test_closing_keeps_its_time_in_an_outage(
        self, world: TransactionsWorld, topic: str, failures: Failures
    ) -> None:
        async with started(world.connect()) as producer:
            failures.send(producer, Message(topic, b"one", partition=0))
            await producer.flush(CALL_S)
            await world.go_away()
            try:
                failures.send(producer, Message(topic, b"two", partition=0))
                began = anyio.current_time()
                with anyio.fail_after(PATIENCE_S):
                    await producer.close(SHORT_S)
                assert anyio.current_time() - began < SHORT_S + BUSY_S
            finally:
                await world.come_back()
        await producer.close(SHORT_S)
