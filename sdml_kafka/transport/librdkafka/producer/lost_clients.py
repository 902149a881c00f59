"""See whether the clients of one producer find a broker again after an outage.

librdkafka may forget every broker (`../lost_brokers.py`), and then keeps records without an end.
Only a question that blocks shows that, so a thread asks each client once it has reported that all
brokers are down, until it is answered.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.transport.librdkafka.lost_brokers import has_lost_brokers
from sdml_kafka.transport.librdkafka.options import Settings
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer.delivery_reports import ReportingProducer

ASK_TIMEOUT_S = 0.25
"""Seconds that a question waits: threads of librdkafka compute as long as it waits."""
INTERVAL_S = 1.0


class LostClients:
    """Asks by the clients of one producer, in a thread that lives as long as there is doubt."""

    def __init__(
        self,
        loop: ProgramLoop,
        settings: Settings,
        clients: Callable[[], Sequence[ReportingProducer]],
        topics: Callable[[], Collection[str]],
        found_lost: Callable[[], object],
    ) -> None:
        """Ask nothing yet.

        Args:
            loop: The program's loop.
            settings: The configuration of the clients.
            clients: Returns the clients.
            topics: Returns topics that records were sent to, or are to be.
            found_lost: Called in the program's thread if a client will never be answered again.
        """
        self._loop = loop
        self._settings = settings
        self._clients = clients
        self._topics = topics
        self._found_lost = found_lost
        self._lock = threading.Lock()
        """Held while it is decided whether the thread goes on."""
        self._is_asking = False
        self._is_due = False
        """True if a client has reported an outage since the thread has begun with all of them."""
        self._is_wanted = True

    def look(self) -> None:
        """Ask, since a client has reported that all brokers are down; in the program's thread."""
        topic = next(iter(self._topics()), None)
        # A client that was given no topic asks for none, and forgets no broker.
        if topic is None or not self._is_wanted:
            return
        with self._lock:
            self._is_due = True
            if self._is_asking:
                return
            self._is_asking = True
        ask = partial(self._ask, topic)
        threading.Thread(target=ask, name="sdml-kafka-lost-clients", daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._is_wanted = False

    def _ask(self, topic: str) -> None:
        left: list[ReportingProducer] = []
        while self._goes_on(left):
            if self._is_due:
                self._is_due, left = False, list(self._clients())
            elif self._is_answered(left[0], topic):
                left.pop(0)
            else:
                time.sleep(INTERVAL_S)

    def _goes_on(self, left: Sequence[ReportingProducer]) -> bool:
        with self._lock:
            self._is_asking = self._is_wanted and bool(left or self._is_due)
            return self._is_asking

    def _is_answered(self, client: ReportingProducer, topic: str) -> bool:
        try:
            client.partitions(topic, ASK_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError._DESTROY:
                return True
            if has_lost_brokers(self._settings, error, partial(client.partitions, topic)):
                self._is_wanted = False
                self._loop.call_soon(self._found_lost)
            return False
        return True
