"""Records of a producer in which hooks take part; none of it exists where nobody observes."""

from collections.abc import Callable
from functools import partial
from typing import Any

from sdml_kafka.errors import SendFailed
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.receipts import settle, take_part
from sdml_kafka.producer.pending_sends import PendingSend
from sdml_kafka.transport.interfaces.producer import Message


class HookedSend(PendingSend):
    """A record on its way, in which hooks take part as it is sent."""

    __slots__ = ("_hooked", "_hooks")

    _hooked: Message | None

    def __init__(self, hooks: Hooks, *parts: Any) -> None:
        """Use `KafkaProducer.send_soon`, which makes these."""
        super().__init__(*parts)
        self._hooks = hooks
        self._hooked = None

    def send(self, message: Message) -> None:
        """Send the record, after hooks have taken part in it."""
        self._hooked = message = take_part(self._hooks, message, "send")
        super().send(message)

    def end(self, error: Exception | None) -> bool:
        """Note the outcome; hooks learn of it, too."""
        message, self._hooked = self._hooked, None
        is_waited_for = super().end(error)
        if message is not None:
            if error is None and self._sent is None:
                error = SendFailed("its sender waits no more", in_doubt=True)
            settle(message, error)
        return is_waited_for


def sends_with(hooks: Hooks) -> Callable[..., PendingSend] | None:
    """Return what makes the records of a producer, None if no hook takes part in them."""
    return None if hooks.sending is None else partial(HookedSend, hooks)
