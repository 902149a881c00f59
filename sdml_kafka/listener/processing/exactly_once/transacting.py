"""A listener's means for transactions, and a check that they will do."""

from collections.abc import Callable, Collection

from attrs import frozen

from sdml_kafka.consuming.committer import Committer
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener.processing.exactly_once.stage import SharedRecords
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions


@frozen
class Transacting:
    """The things that the processors of a listener need for transactions."""

    connect: ConnectTransactions | None
    """Opens a producer of transactions; None if the client has none."""
    keeps_maps: bool
    """True if commits say what has finished beyond their offset."""
    max_every: int
    """The number of records that are committed together at most, since more are not in hand."""
    committer: Committer
    current: CurrentConsumer
    on_doubt: Callable[[Collection[Tenancy]], None]
    """Called with the partitions of which nobody knows what is committed."""
    shared: SharedRecords
    reads_committed: bool
    """True if the listener sees no records of transactions that are open or were aborted."""

    def check(self, *, retry_topics: bool = False) -> ConnectTransactions:
        """Return the function that opens a producer of transactions.

        Args:
            retry_topics: Whether records go through topics that the listener reads itself.

        Raises:
            ConfigurationError: There can be no transactions.
        """
        if self.connect is None:
            raise ConfigurationError(
                "exactly_once needs client='librdkafka': transactions of aiokafka do not say which "
                "member of the group commits, so a member that was frozen would not be refused"
            )
        if not self.keeps_maps:
            raise ConfigurationError(
                "exactly_once needs the listener's offset_map, so that a commit can say of each "
                "record of a transaction that it has finished"
            )
        if retry_topics and not self.reads_committed:
            raise ConfigurationError(
                "exactly_once with RetryTopics needs client_options={'isolation.level': "
                "'read_committed'}: else the listener handles what aborted transactions have "
                "written to the retry topics"
            )
        return self.connect
