"""Records that wait for their topic keep their order."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from sdml_kafka.transport.aiokafka.producer.partition_queues import Entry
from sdml_kafka.transport.aiokafka.producer.topic_lookups import TopicLookups
from sdml_kafka.transport.interfaces.producer import Message, always
from tests.support.waiting import until


class Metadata:
    """Shows the topic once it `is_there`, and stands for all that knows of metadata."""

    def __init__(self) -> None:
        self.is_there = False
        cluster = SimpleNamespace(unauthorized_topics=set[str]())
        self.client = SimpleNamespace(cluster=cluster, force_metadata_update=self._update)

    def _update(self) -> "asyncio.Future[bool]":
        answer = asyncio.get_running_loop().create_future()
        answer.set_result(True)
        return answer

    def count(self, topic: str) -> int:
        return int(self.is_there)

    def is_known(self, message: Message) -> bool:
        return self.is_there

    def begin_search(self, topic: str) -> None: ...
    def end_search(self, topic: str) -> None: ...


def test_no_record_overtakes_those_that_wait_for_its_topic() -> None:
    """The metadata may show a topic before the lookup has seen that."""

    async def send_two() -> None:
        sent: list[Entry] = []
        metadata: Any = Metadata()
        lookups = TopicLookups(
            metadata, metadata, metadata, sent.append, cast(Any, None), cast(Any, None)
        )
        first, second = (
            (Message("topic", value, partition=0), lambda _: None, always) for value in (b"1", b"2")
        )
        lookups.add(first)
        await asyncio.sleep(0.01)  # the lookup waits for its next attempt
        metadata.is_there = True
        lookups.add(second)
        await until(lambda: len(sent) == 2)
        assert sent == [first, second]

    asyncio.run(send_two())
