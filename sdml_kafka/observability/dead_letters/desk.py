"""Lists, shows and sends anew the dead letters of some listeners, one answer after another.

Only topics that the listeners' options name are read, and each answer is bounded in time and size.
A replay of a topic is done in rounds of some seconds, each a request of its own: nothing runs
between two requests, so nothing is left behind when the program ends. The group of the replay
knows how far it has come.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict, cast

import anyio

from sdml_kafka.consuming.without_group import connect_without_group
from sdml_kafka.dead_letters.anew import NoTarget
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.letter import as_text, read_letter, summary
from sdml_kafka.dead_letters.reading import open_log, read_newest, read_one
from sdml_kafka.dead_letters.replay import Replay, Sending
from sdml_kafka.dead_letters.sent_letters import SentLetters
from sdml_kafka.dead_letters.single_replay import NotSent, replay_one
from sdml_kafka.dead_letters.sources import Commits, Source, committed
from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.listener.listener import KafkaListener, client_of, dead_letter_topics
from sdml_kafka.observability.dead_letters.access import Refused
from sdml_kafka.printable import one_line
from sdml_kafka.runtime import RuntimeFailure
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.transactions import NoTransactions

CLIENT_ID = "sdml-kafka-page"
MAX_LETTERS = 50
"""The number of the newest dead letters of a topic that are listed."""
MAX_TEXT = 200_000
"""The characters of a dead letter that are shown."""
MAX_NOTES = 20
"""The number of lines of a replay's report."""
MAX_ERROR = 500
LIST_TIMEOUT_S = 20.0
"""Seconds that the list of all topics may take, but for a second of each."""
TIMEOUT_S = 10.0
"""Seconds that brokers may take to list the dead letters of a topic, or to show or send one."""
ROUND_S = 5.0
"""Seconds after which a round of a replay ends, with what is on its way then."""
ROUND_LIMIT_S = 60.0
"""Seconds after which a round is cut off: its open transaction has not happened."""
NO_CLIENT = (
    "its listener was made with a factory or a transport: with bootstrap_servers and options it "
    "could be read"
)
FAILURES = (SdmlKafkaError, RuntimeFailure, OSError)


class ListedTopic(TypedDict):
    """The newest dead letters of a topic, the newest one first."""

    topic: str
    letters: list[dict[str, Any]]
    """Each as `sdml-kafka dead-letters` lists it, with `age_s`, and `sent`: true if it was sent
    anew, null if that is not known."""
    error: str | None
    """The reason for which they could not be read, or what is not known of them."""


class Round(TypedDict):
    """The outcome of a replay, or of some seconds of it."""

    sent: dict[str, int]
    """The number of records that were sent to each topic."""
    left_out: int
    """The number of dead letters that name no topic to send to."""
    ended: bool
    """True if all is done; else another round goes on."""
    notes: list[str]
    error: str | None
    """The reason for which it could not go on. What `sent` says was sent even so."""


class Desk:
    """Answers for the dead letters of some listeners."""

    def __init__(self, listeners: Sequence[KafkaListener]) -> None:
        self._listeners = listeners
        self._replaying: set[str] = set()
        """The topics that a replay is under way for."""
        self._lock: anyio.Lock | None = None

    # -- looking -------------------------------------------------------------------------

    async def list(self) -> dict[str, Any]:
        """Return the newest dead letters of each topic, without their values."""
        self._lock = self._lock or anyio.Lock()
        async with self._lock:
            deadline = anyio.current_time() + LIST_TIMEOUT_S
            topics = [
                await self._list(topic, source, deadline)
                for topic, source in sorted(self._sources().items())
            ]
        return {"topics": topics}

    async def _list(self, topic: str, source: Source | None, deadline: float) -> ListedTopic:
        if source is None:
            return ListedTopic(topic=topic, letters=[], error=NO_CLIENT)
        listed = ListedTopic(topic=topic, letters=[], error=None)
        timeout_s = min(TIMEOUT_S, max(1.0, deadline - anyio.current_time()))
        try:
            with anyio.fail_after(timeout_s):
                listed["letters"] = await _newest(source, timeout_s)
                group = Filters().group_for(topic, None)
                commits = await committed(source, group, timeout_s)
        except* FAILURES as failures:
            listed["error"] = _text(failures)
        else:
            _note_sent(listed, commits)
        return listed

    async def show(self, topic: str, partition: int, offset: int) -> dict[str, Any]:
        """Return all of a dead letter as text, without control characters."""
        source, found = self._source(topic), list[Record]()
        with _refusing(), anyio.fail_after(TIMEOUT_S):
            async with open_log(_connect(source), topic, TIMEOUT_S) as log:
                record = await read_one(log, TopicPartition(topic, partition), offset)
                found += [] if record is None else [record]
        if not found:
            raise Refused(404, "it is not there any more")
        text = as_text(read_letter(found[0])).decode()
        return {"text": text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ..."}

    # -- sending anew --------------------------------------------------------------------

    async def replay_one(self, topic: str, partition: int, offset: int) -> Round:
        """Send one dead letter anew, unless it was sent before."""
        source = self._source(topic)
        with self._alone(topic), _refusing(), anyio.fail_after(2 * TIMEOUT_S):
            to = await replay_one(source, partition, offset, TIMEOUT_S)
        return Round(sent={to: 1}, left_out=0, ended=True, notes=[], error=None)

    async def replay_all(self, topic: str) -> Round:
        """Send those anew that were not sent before, for some seconds."""
        notes, error = list[str](), None
        replay = Replay(self._source(topic), Filters(), Sending(), notes.append)
        with self._alone(topic):
            try:
                with anyio.fail_after(ROUND_LIMIT_S):
                    is_cut_short = await _some_seconds_of(replay)
            except* FAILURES as failures:
                is_cut_short, error = False, f"{replay.failed}{_text(failures)}"
        if replay.is_partial:
            error = "another run has the other partitions: see what it sends"
        return Round(
            sent={to: count for to, count in replay.targets.items() if count},
            left_out=replay.left_out,
            ended=not is_cut_short,
            notes=notes[:MAX_NOTES],
            error=error,
        )

    @contextmanager
    def _alone(self, topic: str) -> Generator[None]:
        if topic in self._replaying:
            raise Refused(409, "a replay of this topic is under way")
        self._replaying.add(topic)
        try:
            yield
        finally:
            self._replaying.discard(topic)

    # -- topics --------------------------------------------------------------------------

    def _source(self, topic: str) -> Source:
        sources = self._sources()
        if topic not in sources:
            raise Refused(404, "none of the listeners names such a topic of dead letters")
        source = sources[topic]
        if source is None:
            raise Refused(409, NO_CLIENT)
        return source

    def _sources(self) -> dict[str, Source | None]:
        """Return the topics, each with what it is read with, None where nothing is known."""
        sources: dict[str, Source | None] = {}
        for listener in self._listeners:
            config = client_of(listener)
            for topic in dead_letter_topics(listener):
                if config is None or config.bootstrap is None:
                    sources.setdefault(topic, None)
                else:
                    sources[topic] = Source(topic, config.bootstrap, config)
        return sources


def _connect(source: Source) -> Connect:
    return connect_without_group(source.config, source.bootstrap, CLIENT_ID)


async def _newest(source: Source, timeout_s: float) -> list[dict[str, Any]]:
    letters: list[tuple[int, dict[str, Any]]] = []
    now_s = time.time()

    def take(record: Record) -> None:
        more = {"age_s": round(max(0.0, now_s - record.timestamp / 1000), 3), "sent": None}
        letters.append((record.timestamp, {**summary(read_letter(record)), **more}))

    async with open_log(_connect(source), source.topic, timeout_s) as log:
        await read_newest(log, MAX_LETTERS, take)
    letters.sort(key=lambda each: each[0], reverse=True)
    return [letter for _, letter in letters[:MAX_LETTERS]]


def _note_sent(listed: ListedTopic, commits: Commits) -> None:
    sent = SentLetters()
    sent.remember(commits)
    for each in listed["letters"]:
        place = TopicPartition(listed["topic"], each["partition"])
        each["sent"] = sent.has(place, each["offset"])


async def _some_seconds_of(replay: Replay) -> bool:
    """Run a replay for some seconds, and return whether that was too short for all."""
    is_cut_short = False

    async def end_soon() -> None:
        nonlocal is_cut_short
        await anyio.sleep(ROUND_S)
        is_cut_short = True
        replay.end()

    def begin(status: object) -> None:
        tasks.start_soon(end_soon)

    async with anyio.create_task_group() as tasks:
        await replay.run(begin)
        tasks.cancel_scope.cancel()
    return is_cut_short


@contextmanager
def _refusing() -> Generator[None]:
    """Turn what brokers and headers may be the reason for into an answer."""
    try:
        yield
    except (NotSent, NoTarget) as why:
        raise Refused(409, str(why)) from None
    except NoTransactions as why:
        raise Refused(409, f"one alone is sent in a transaction, and {why}") from None
    except (*FAILURES, ExceptionGroup) as failure:
        raise Refused(503, _text(failure)) from None


def _text(failure: Exception) -> str:
    """Return the first error's text, out of the groups that task groups wrap around it."""
    if isinstance(failure, ExceptionGroup):
        return _text(cast("ExceptionGroup[Exception]", failure).exceptions[0])
    if isinstance(failure, TimeoutError):
        return "no broker has answered in time"
    return one_line(failure)[:MAX_ERROR]
