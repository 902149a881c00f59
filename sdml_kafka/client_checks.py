"""What a listener, a client and a server check alike."""

from collections.abc import Iterable

from sdml_kafka.errors import ClientClosed, ClientNotStarted, ConfigurationError
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.runtime.waiter import on_trio


def check_timeouts(
    start_timeout: float, stop_timeout: float, drain_timeout: float | None = None
) -> None:
    """ConfigurationError unless each is a finite number of seconds; None: there is none."""
    for name, seconds, least in (
        ("drain_timeout", 0.0 if drain_timeout is None else drain_timeout, 0.0),
        ("start_timeout", start_timeout, 0.1),
        ("stop_timeout", stop_timeout, 0.1),
    ):
        if not least <= seconds < float("inf"):
            raise ConfigurationError(f"{name} is in seconds, {least:g} or more, not {seconds!r}")


def check_may_start(what: str, client: object, state: str, *, by_start: bool) -> None:
    """Whether `start()` may be called; `by_start`: it was before, and again is harmless."""
    if state == "closed":
        raise ClientClosed(f"The {what} was left: make and enter a new one")
    if on_trio():
        raise ClientNotStarted(
            "start() and stop() work on asyncio only. On trio: "
            f"`async with {type(client).__name__}(...)`"
        )
    if state == "starting" and not by_start:
        raise ClientNotStarted(f"The {what} is being entered: use it inside its `async with`")


def wire_of(names: Iterable[str]) -> Wire:
    """Of `corr_header_keys`."""
    try:
        return Wire((names,) if isinstance(names, str) else tuple(names))
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"corr_header_keys are names of headers: {error}") from error
