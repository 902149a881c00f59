"""Which retry topics the failed records of a processor go through, and when they are due.

Everybody can write to a retry topic. So the first topic of a record is looked up by the topic that
it was read from, never in its headers, and a due time is no further off than the longest delay.
Only where one topic is that of all attempts do the headers say how many of them are left.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from math import ceil

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.policies import RetryTopics
from sdml_kafka.listener.processing.spring_headers import MAX_OFFSET, attempt_of, due_ms
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name


class RetryPlan:
    """The retry topics of one processor, by the topics that its records come from at first."""

    def __init__(
        self,
        policy: RetryTopics,
        first_topics: Iterable[str],
        read_otherwise: Collection[str],
        wall_clock: Callable[[], float],
    ) -> None:
        """Name the topics.

        Args:
            policy: The delays.
            first_topics: The topics that hold the processor's type.
            read_otherwise: All topics that the listener reads for its parsers.
            wall_clock: Returns seconds since the epoch.

        Raises:
            ConfigurationError: A retry topic cannot have its name, or a parser reads it.
        """
        self._wall_clock = wall_clock
        self._policy = policy
        self._steps: dict[str, tuple[str, int]] = {}
        """The first topic of each retry topic, and the number of its delay, or of its last one."""
        self.by_suffix: dict[str, Mapping[str, str]] = {}
        """The retry topic of each first topic, for each end of a retry topic's name."""
        firsts = list(first_topics)
        for number in range(len(policy.delays_s)):
            topics = {first: policy.topic(first, number) for first in firsts}
            self.by_suffix[policy.topic("", number)] = topics
            self._steps.update((topics[first], (first, number)) for first in firsts)
        for topic in self._steps:
            if not is_topic_name(topic):
                raise ConfigurationError(
                    f"RetryTopics makes {topic!r} of {self.first_topic(topic)!r}, which cannot be "
                    f"a retry topic: {TOPIC_RULE}"
                )
            if topic in read_otherwise:
                raise ConfigurationError(
                    f"RetryTopics reads {topic!r} by itself: take it out of the parser's topics"
                )

    @property
    def topics(self) -> Collection[str]:
        """All retry topics."""
        return self._steps.keys()

    def queues[Q](self, by_suffix: Mapping[str, Q]) -> Mapping[str, Q]:
        """Return the queue of each retry topic, from the queues of the ends of their names."""
        return {
            topic: by_suffix[suffix]
            for suffix, topics in self.by_suffix.items()
            for topic in topics.values()
        }

    def has_read(self, job: Job) -> bool:
        """Return whether a record was read from a retry topic."""
        return job.tenancy.topic in self._steps

    def first_topic(self, topic: str) -> str:
        """Return the topic that a record read from `topic` came from at first."""
        step = self._steps.get(topic)
        return topic if step is None else step[0]

    def next_step(self, topic: str, attempt: int) -> tuple[str, float] | None:
        """Return the next topic of a record and its delay in seconds, None after the last one.

        Args:
            topic: The topic that the record was read from.
            attempt: The number of the attempt that failed.
        """
        policy = self._policy
        first, number = self._steps.get(topic, (topic, -1))
        if policy.suffix == "none" and topic in self._steps:
            # Whoever wrote the record may have tried it less often in place.
            number = max(-1, attempt - policy.first.attempts - 1)
        following = number + 1
        if following >= len(policy.delays_s):
            return None
        return policy.topic(first, following), policy.delays_s[following]

    def now_ms(self) -> int:
        """Return the time in milliseconds since the epoch, rounded up so that nothing is early."""
        return ceil(self._wall_clock() * 1000)

    def begins_at(self, job: Job, now: float) -> float:
        """Return when a record may begin, on the event loop's clock, which shows `now`.

        A record of a retry topic goes on with the attempt that its headers say.
        """
        if not self.has_read(job):
            return 0.0
        at: float | None = getattr(job, "begins_at", None)
        if at is None:
            headers = job.record.headers
            job.attempt = attempt_of(headers)
            wait_s = (due_ms(headers, MAX_OFFSET) or 0) / 1000 - self._wall_clock()
            # The clock of whoever wrote the record may be ahead, so a time is bounded, not ignored.
            at = job.begins_at = now + min(max(0.0, wait_s), max(self._policy.delays_s))
        return at
