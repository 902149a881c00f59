"""TimingHook, for hooks of this package that measure what happens too often for events."""

from sdml_kafka.hooks.events import Kind
from sdml_kafka.hooks.hook import Hook


class TimingHook(Hook):
    """Takes bare durations, each of which costs a fifth of what an event does.

    For hooks of this package alone, since nobody catches what these methods raise.
    """

    def time_call(self, topic: str, outcome: str, seconds: float) -> None:
        """Take the seconds from the beginning of a call to its outcome, as `CallSettled` has it."""
        raise NotImplementedError  # each of these hooks has it

    def time_handler(self, kind: Kind, handler: str, seconds: float) -> None:
        """Take the seconds of an attempt of a handler, or of the body of `async with delivery`."""
        raise NotImplementedError  # likewise
