"""Hook, the class that observers derive from."""

from contextlib import AbstractContextManager
from typing import ClassVar

from sdml_kafka.hooks.events import (
    Assigned,
    BrokerBack,
    BrokerGone,
    CallBegun,
    CallSettled,
    Committed,
    Crashed,
    DeadLettered,
    Delivered,
    Drained,
    FailedCommit,
    Finished,
    Lost,
    RequestHandled,
    Restarted,
    Retried,
)
from sdml_kafka.hooks.participation import Handling, OnOutcome, Outgoing


class Hook:
    """Observes listeners, clients, servers and producers: `KafkaListener(..., hooks=[...])`.

    Override what you want to learn of; what is not overridden costs nothing. The methods are plain
    functions, called in the program's thread, and have to return at once. What one raises is
    logged, once for each hook and method, and harms nothing; only what ends a program comes out,
    which is KeyboardInterrupt and `sys.exit()`. One hook may serve several objects: each event has
    its `origin`. A method whose name is nearly one of these is logged as a mistake; the names of
    helpers may begin with `_`.

    ```python
    class Counting(Hook):
        def committed(self, event: Committed) -> None:
            print(f"{event.origin.group_id} committed {dict(event.offsets)}")
    ```
    """

    wants_record_in_hand: ClassVar[bool] = False
    """True if `record_in_hand()` works in the bodies of `async for` over a listener's streams. It
    costs something for each record."""

    # -- records -------------------------------------------------------------------------

    def delivered(self, event: Delivered) -> None:
        """Learn that records were handed out together."""

    def finished(self, event: Finished) -> None:
        """Learn that records which were delivered together have finished."""

    def committed(self, event: Committed) -> None:
        """Learn that offsets were committed."""

    def commit_failed(self, event: FailedCommit) -> None:
        """Learn that a commit has failed. What has finished is in the next one as well."""

    def retried(self, event: Retried) -> None:
        """Learn that a record has failed and is tried again."""

    def dead_lettered(self, event: DeadLettered) -> None:
        """Learn that the dead letter of a record was acknowledged."""

    # -- calls ---------------------------------------------------------------------------

    def call_begun(self, event: CallBegun) -> None:
        """Learn that a call begins: in its caller's context, before `sending` for its request."""

    def call_settled(self, event: CallSettled) -> None:
        """Learn that a call has its outcome."""

    def request_handled(self, event: RequestHandled) -> None:
        """Learn that a server's handler has ended."""

    # -- groups --------------------------------------------------------------------------

    def assigned(self, event: Assigned) -> None:
        """Learn that partitions were assigned."""

    def drained(self, event: Drained) -> None:
        """Learn that partitions are about to be released."""

    def lost(self, event: Lost) -> None:
        """Learn that partitions were lost."""

    # -- trouble -------------------------------------------------------------------------

    def actor_crashed(self, event: Crashed) -> None:
        """Learn that an actor has failed."""

    def actor_restarted(self, event: Restarted) -> None:
        """Learn that an actor works again."""

    def broker_gone(self, event: BrokerGone) -> None:
        """Learn that no broker can be reached."""

    def broker_back(self, event: BrokerBack) -> None:
        """Learn that a broker can be reached again."""

    # -- taking part ---------------------------------------------------------------------

    def handling(self, handling: Handling) -> AbstractContextManager[object] | None:
        """Return what is entered around an attempt of a handler, None for nothing.

        It is entered and left in the handler's task, so that context variables which it sets are
        the handler's, also if that is a plain function in a thread. When it is left it gets the
        handler's exception, which it cannot suppress.
        """

    def sending(self, message: Outgoing) -> OnOutcome | None:
        """Take part in a message that is about to leave: it may get headers.

        It is called once for each message in the context of its sender, also if the message has to
        be sent several times. If a transaction is aborted, what it held is sent in another one, and
        is another message. Messages that a handler returned to be sent, and its reply, have no
        sender: see `Outgoing.handling`.

        Returns:
            What is called with the outcome: None when the broker has acknowledged the message, or
            an error. None if nothing is to be called.
        """
