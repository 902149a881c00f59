"""Note what keeps one consumer from its partitions, as far as librdkafka has said so.

It tries again for ever, and says why once, by an error that comes with a poll of the member. What
is noted here in the member's thread is read in the other one: objects are replaced as a whole.
"""

from collections.abc import Callable, Iterable, Mapping
from logging import WARNING, getLogger
from math import inf
from time import monotonic

from confluent_kafka import KafkaError

from sdml_kafka.errors import CoordinatorUnavailable, SdmlKafkaError
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.connection_failures import (
    BOOTSTRAP,
    COORDINATOR,
    Failure,
    unreachable,
)
from sdml_kafka.transport.librdkafka.consumer.failures import (
    final,
    group_full,
    is_full,
    passed_over,
)
from sdml_kafka.transport.librdkafka.options import Settings


class Obstacles:
    """The failures of one consumer."""

    def __init__(self, settings: Settings, fail: Callable[[SdmlKafkaError], object]) -> None:
        """Begin with none.

        Args:
            settings: The configuration of librdkafka.
            fail: Called with an error that no waiting mends.
        """
        self._group = str(settings["group.id"])
        self._servers = str(settings["bootstrap.servers"])
        self._protocol = str(settings.get("security.protocol", "plaintext"))
        self._fail = fail
        self._log = RateLimitedLog(getLogger("sdml_kafka.transport"))
        self._failures: Mapping[str, Failure] = {}
        """The brokers that were not reached, by the name of the connection."""
        self._of_group: KafkaError | None = None
        """Why the group does not take the member."""
        self.is_passed_over: bool = False
        """True if the coordinator answers all but the member's wish to join."""
        self.refusal: SdmlKafkaError | None = None
        """The error that no waiting mends."""
        self.all_down: bool = False
        """True if no broker could be reached since one has answered."""
        self.is_connected: bool = False
        """True if a broker has answered lately."""
        self.answered_at: float = -inf
        """When a broker has answered last."""

    def note(self, error: KafkaError) -> None:
        """Note what librdkafka says."""
        if error_mapping.is_about_token(error) and self.answered_at > -inf:
            text = "no new token for the login could be had, and librdkafka asks again in 10 s: %s"
            why = error_mapping.refused_credentials(error)
            self._log.log(WARNING, "token", text, why, extra=fields(group=self._group, error=why))
            return
        if (failed := Failure.of(error)) is not None:
            self._failures = {**self._failures, f"{failed.place}/{failed.node}": failed}
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.all_down, self.is_connected = True, False
        elif is_full(error):
            self._of_group = error
        if (failure := final(error, self._group)) is not None:
            self.refusal = failure
            self._fail(failure)

    def note_coordinator(self, error: KafkaError | None) -> None:
        """Note why the group's coordinator does not answer, None if it does."""
        if not self.is_group_full:
            self._of_group = error

    @property
    def is_group_full(self) -> bool:
        """True if the group has said that it has no room for the member."""
        return self._of_group is not None and is_full(self._of_group)

    def note_connection(self) -> None:
        """Note that a broker has answered."""
        self.is_connected, self.answered_at = True, monotonic()

    def note_silence(self) -> None:
        """Note that a broker did not answer."""
        self.is_connected = False

    def answered(self) -> None:
        """Note that all brokers have answered that were asked."""
        self._failures, self.all_down = {}, False

    def no_start(self, timeout_s: float) -> SdmlKafkaError:
        """Return the error of a start in which no broker has answered."""
        return self._unreachable(self._failures.values(), None if self.all_down else timeout_s)

    def _unreachable(
        self, failures: Iterable[Failure], timeout_s: float | None = None
    ) -> SdmlKafkaError:
        by_place = {each.place: each for each in failures}
        return unreachable(by_place, self._servers, self._protocol, timeout_s)

    def find(self, *, has_joined: bool) -> SdmlKafkaError | None:
        """Return what keeps the consumer from getting or reading partitions, None if unknown.

        Args:
            has_joined: Whether the group has given partitions, which are to be positioned.
        """
        failures = self._failures.values()
        if not self.is_connected:
            return self._unreachable(failures) if failures else None
        if has_joined:
            away = [each for each in failures if each.node != BOOTSTRAP]
            return self._unreachable(away) if away else None
        if away := [each for each in failures if each.node == COORDINATOR]:
            cause = self._unreachable(away)
            error = CoordinatorUnavailable(
                f"The coordinator of the group {self._group!r} cannot be reached. {cause}"
            )
            error.__cause__ = cause
            return error
        if self._of_group is None:
            return passed_over(self._group) if self.is_passed_over else None
        if self.is_group_full:
            return group_full(self._group, self._of_group)
        return CoordinatorUnavailable(
            f"The group {self._group!r} has no coordinator: {error_mapping.shown(self._of_group)}. "
            "If that lasts, the brokers cannot create or serve the topic __consumer_offsets: "
            "offsets.topic.replication.factor must not be larger than the number of brokers, and "
            "enough replicas of the topic must be there; see the log of the brokers."
        )

    def unreachable(self) -> Mapping[str, str]:
        """Return the brokers that were not reached lately, with the reason."""
        return {
            each.node: f"{each.place}: {each.reason(self._protocol)}"
            for each in self._failures.values()
            if each.node not in (BOOTSTRAP, COORDINATOR)
        }
