"""The calls of a producer that may do nothing."""

import pytest

from sdml_kafka.errors import AuthorizationFailed, TopicMissing
from sdml_kafka.transport.interfaces.producer import ConnectProducer, Message
from tests.support.contracts.producer_world import CALL_S, Outcomes, started


async def check_each_call_says_what_it_lacks(
    admin: ConnectProducer, guest: ConnectProducer
) -> None:
    """Check the error of each call of a guest, and that an administrator gets none."""
    outcomes = Outcomes()
    async with started(admin) as producer:
        await producer.create_topic("secret", 1, {}, CALL_S)
        assert await producer.live_members("group", CALL_S) == 0
        producer.send(Message("secret", b"value"), outcomes.of("admin"))
        assert await outcomes.one("admin") is None

    async with started(guest) as producer:
        producer.send(Message("secret", b"value"), outcomes.of("guest"))
        assert type(await outcomes.one("guest")) is AuthorizationFailed
        producer.send(Message("missing", b"value"), outcomes.of("missing"))
        assert type(await outcomes.one("missing")) in (AuthorizationFailed, TopicMissing)
        with pytest.raises(AuthorizationFailed, match="create the topic 'mine'"):
            await producer.create_topic("mine", 1, {}, CALL_S)
        with pytest.raises(AuthorizationFailed, match="delete the topic 'secret'"):
            await producer.delete_topic("secret", CALL_S)
        with pytest.raises(AuthorizationFailed, match="look up the topics 'secret'"):
            await producer.partition_counts(["secret"], CALL_S)
        with pytest.raises(AuthorizationFailed, match="look at the group"):
            await producer.live_members("group", CALL_S)
