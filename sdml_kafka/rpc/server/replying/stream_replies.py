"""The replies of streams: sent in their order, also those that have to be sent again."""

from collections.abc import Callable

from sdml_kafka.errors import SendFailed
from sdml_kafka.producing.outbox import Outgoing
from sdml_kafka.rpc.server.call import ServerCall
from sdml_kafka.rpc.server.replying.reply import Reply, TakesOutcomes
from sdml_kafka.rpc.server.replying.stream_order import StreamOrder
from sdml_kafka.transport.interfaces.producer import Message


class StreamReply(Reply):
    """A reply of a stream, its end included."""

    __slots__ = ("number", "order")

    def __init__(
        self,
        replies: TakesOutcomes,
        call: ServerCall,
        message: Message,
        is_error: bool,
        order: "Order",
    ) -> None:
        """Make a reply that is not sent yet; `order` is that of its stream in the topic."""
        super().__init__(replies, call, message, is_error)
        self.order: Order = order
        self.number: int = call.sequence or 0
        """The number of replies of the stream before this one."""


Order = StreamOrder[StreamReply]
"""The order of a stream's replies to one topic."""


class _Place:
    """Takes the place of the first reply of a stream, as a `Receipt`."""

    __slots__ = ("_order",)

    def __init__(self, order: "Order") -> None:
        self._order = order

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        """Have the others follow, unless they know where to go."""
        if self._order.partition is None:
            self._order.partition = partition


class StreamReplies:
    """Sends the replies of streams, each in its turn."""

    def __init__(
        self,
        replies: TakesOutcomes,
        outbox: Outgoing,
        schedule: Callable[[float, "Order"], None],
        replace_by_error: Callable[[Reply, Exception], None],
    ) -> None:
        """Begin without streams.

        Args:
            replies: Takes the outcomes, and what is not sent after all.
            outbox: Where replies are sent.
            schedule: Has `go_on` called at a time.
            replace_by_error: Sends an error in place of a reply, which ends its stream.
        """
        self._replies = replies
        self._outbox = outbox
        self._schedule = schedule
        self._replace_by_error = replace_by_error

    def send(self, call: ServerCall, message: Message, is_error: bool) -> None:
        """Send the next reply of a stream, unless it has to wait for others."""
        orders: dict[str, Order] | None = call.orders
        if orders is None:
            orders = call.orders = {}
        if (order := orders.get(message.topic)) is None:
            is_numbered, partition = not call.writer.marks_last, message.partition
            has_place = is_numbered or message.key is not None
            goes_alone = not has_place and partition is None
            order = StreamOrder[StreamReply](partition, is_numbered, goes_alone)
            orders[message.topic] = order
            if not has_place:
                message = message._replace(receipt=_Place(order))
        reply = StreamReply(self._replies, call, message, is_error, order)
        if order.add(reply):
            self._send_now(reply)

    def _send_now(self, reply: StreamReply) -> None:
        if reply.message.partition != reply.order.partition:
            reply.message = reply.message._replace(partition=reply.order.partition)
        self._outbox.send(reply.message, reply)

    def go_on(self, order: "Order", now: float) -> None:
        """Send what waits, unless it waits for others, or it is too early."""
        if not order.is_due:
            return
        if now < order.not_before:
            self._schedule(order.not_before, order)
            return
        for reply in order.take():
            self._send_now(reply)

    def has_come(self, reply: StreamReply) -> None:
        """Note that the broker has a reply, and go on with those that waited for that."""
        reply.order.acknowledged(reply)
        self._check_order(reply)

    def send_again(self, reply: StreamReply, at: float) -> None:
        """Send a reply that failed in its turn, but not before this time."""
        order = reply.order
        order.failed(reply)
        order.not_before = max(order.not_before, at)
        self._check_order(reply)

    def send_elsewhere(self, reply: StreamReply, now: float) -> None:
        """Send a reply whose topic does not have the partition that was asked for."""
        reply.order.partition = None
        self.send_again(reply, now)

    def _check_order(self, reply: StreamReply) -> None:
        """Go on, unless a reply would be read in a wrong place: then the stream has to end."""
        if (late := reply.order.overtaken) is not None:
            self._replace_by_error(late, SendFailed("others that come after it were sent before"))
        else:
            self.go_on(reply.order, reply.call.clock())

    def give_up(self, reply: StreamReply) -> None:
        """Go on without a reply; where nothing would show that it is missing, end the stream."""
        if reply.order.is_numbered:
            reply.order.given_up()
            self.go_on(reply.order, reply.call.clock())
        else:
            self.end(reply.call)

    def end(self, call: ServerCall, *, but: Reply | None = None) -> None:
        """Send nothing more of a stream, and end its handler. `but` is not among what waits."""
        call.is_over = True
        if call.running_scope is not None:
            call.running_scope.cancel()
        orders: dict[str, Order] = call.orders or {}
        for order in orders.values():
            for waiting in order.drop():
                if waiting is not but:
                    self._replies.drop(waiting)
