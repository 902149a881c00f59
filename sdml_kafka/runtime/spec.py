"""How an actor is supervised, as data."""

from collections.abc import Callable

from attrs import frozen

from sdml_kafka.runtime.actor import Actor
from sdml_kafka.runtime.restarts import RestartType, check_choice, check_seconds


@frozen
class ChildSpec:
    """One child of a supervisor.

    Raises:
        ValueError: A value is out of its range.
    """

    name: str
    """The child's name among its siblings, in snapshots, events and logs."""
    factory: Callable[[], Actor]
    """Makes a new actor for each life; if it raises, that counts as a crash of the actor."""
    restart: RestartType = "permanent"
    start_timeout_s: float = 10.0
    """Seconds that the child may take to say that it is ready."""
    stop_timeout_s: float = 5.0
    """Seconds that the child may take to stop when asked, before it is cancelled."""

    def __attrs_post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")
        if not callable(self.factory):
            kind = type(self.factory).__name__
            raise ValueError(
                "factory must be a class or a function that makes a new actor for each life: "
                f"write lambda: {kind}(...), not {kind}(...)"
            )
        check_choice("restart", self.restart, RestartType)
        check_seconds("start_timeout_s", self.start_timeout_s)
        check_seconds("stop_timeout_s", self.stop_timeout_s)
