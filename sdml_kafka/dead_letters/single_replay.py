"""Sends one dead letter anew, once: the commit of the group that replays all says so."""

from sdml_kafka.client_config import ClientConfig
from sdml_kafka.consuming.without_group import connect_without_group
from sdml_kafka.dead_letters.anew import record_for, target_of
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.letter import read_letter
from sdml_kafka.dead_letters.reading import open_log, read_one
from sdml_kafka.dead_letters.replay import message_of
from sdml_kafka.dead_letters.sent_letters import SentLetters
from sdml_kafka.dead_letters.sources import CLIENT_ID, Source, committed, open_transactions
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.transactions import RecordsFailed


class NotSent(Exception):
    """The dead letter is not sent; the text says why."""


async def replay_one(source: Source, partition: int, offset: int, timeout_s: float) -> str:
    """Send the dead letter at a place to where it came from, and return that topic.

    It is sent in a transaction that also notes it for the group, so that neither this nor a replay
    of all sends it again. The producer takes the place of a replay that is under way.

    Raises:
        NotSent: It was sent before, or is not there.
        NoTarget: Its headers name no topic that may be sent to.
        NoTransactions: The broker does not let this client make transactions.
        SdmlKafkaError: It could not be read or sent. It was not sent.
    """
    group = Filters().group_for(source.topic, None)
    place, sent = TopicPartition(source.topic, partition), SentLetters()
    config: ClientConfig = source.config
    async with open_transactions(source, group, timeout_s) as producer:
        sent.remember(await committed(source, group, timeout_s))
        if sent.has(place, offset):
            raise NotSent("it was sent before")
        connect = connect_without_group(config, source.bootstrap, CLIENT_ID)
        async with open_log(connect, source.topic, timeout_s) as log:
            record = await read_one(log, place, offset)
            first = log.firsts.get(place, 0)
        if record is None:
            raise NotSent("it is not there any more")
        letter = read_letter(record)
        topic = target_of(letter, None)
        commit = sent.with_one(place, offset, first)
        if commit is None:
            raise NotSent("too many were sent one by one: replay all of the topic first")
        try:
            await producer.send([message_of(record_for(letter, topic))], {place: commit}, group)
        except RecordsFailed as failure:
            raise failure.error from None
    return topic
