"""Which topics a server replies to, since strangers name them."""

from collections.abc import Callable, Collection
from logging import ERROR

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import MAX_REPLY_TOPICS, Request

MAX_REMEMBERED = 1000

ReplyTopics = Collection[str] | Callable[[str], bool] | None
"""The names of the topics, or a function that returns whether a topic is one; None for any."""


class ReplyTopicPolicy:
    """Admits the reply topics that the program allows, a bounded number of them for a request."""

    def __init__(
        self, allowed: ReplyTopics, most: int, served: Collection[str], log: RateLimitedLog
    ) -> None:
        """Check what the program gave.

        Args:
            allowed: The topics that may be replied to.
            most: The number of topics that one request is replied on, at most.
            served: The server's own topics, which it never replies to.
            log: Where an error out of `allowed` is logged.

        Raises:
            ConfigurationError: `most` or `allowed` cannot work.
        """
        if not 1 <= most <= MAX_REPLY_TOPICS:
            raise ConfigurationError(
                f"most_reply_topics is from 1 to {MAX_REPLY_TOPICS}, not {most!r}"
            )
        if isinstance(allowed, str):
            raise ConfigurationError("reply_topics is a list of names: put this one into [ ]")
        self._allowed: frozenset[str] | Callable[[str], bool] | None
        if allowed is None or callable(allowed):
            self._allowed = allowed
        else:
            self._allowed = frozenset(allowed)
        self._most = most
        self._served = served
        self._log = log
        self._known: dict[str, bool] = {}

    def admitted(self, request: Request) -> tuple[str, ...]:
        """Return the topics that this request is replied on."""
        topics = request.reply_topics
        if len(topics) == 1 and self._known.get(topics[0]):
            return topics
        return tuple(topic for topic in topics if self._admits(topic))[: self._most]

    def _admits(self, topic: str) -> bool:
        admits = self._known.get(topic)
        if admits is None:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            admits = self._known[topic] = (
                not topic.startswith("__") and topic not in self._served and self._is_allowed(topic)
            )
        return admits

    def _is_allowed(self, topic: str) -> bool:
        if self._allowed is None:
            return True
        if not callable(self._allowed):
            return topic in self._allowed
        try:
            return bool(self._allowed(topic))
        except Exception as error:
            extra = fields(to_topic=topic, error=error)
            self._log.log(ERROR, "reply_topics", "reply_topics raised", error=error, extra=extra)
            return False
