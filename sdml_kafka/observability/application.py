"""The application that programs serve; what it answers is in `routes.py`, which needs Starlette."""

from typing import TYPE_CHECKING

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.observability.status_document import Observed

if TYPE_CHECKING:
    from starlette.applications import Starlette


def app(
    *objects: Observed,
    stuck_after_s: float = 60.0,
    away_after_s: float = 1.0,
    dead_letter_token: str | None = None,
) -> "Starlette":
    """Make an ASGI application to be served by itself, or mounted in another (extra `page`).

    - `/live` and `/ready` answer 200 or 503, with the health of each object as JSON.
    - `/` is a page for people, which shows what goes on as it does.
    - `/metrics` is what Prometheus reads: the state of the objects, and whatever is registered with
      prometheus-client, such as the hook `Prometheus` (extra `prometheus`).
    - `/status.json` is all that can be seen of them; `sdml-kafka top` shows it in a terminal.
    - `/dead-letters` lists the dead letters of the listeners, and sends them anew, for whoever has
      the token; without `dead_letter_token` it is not there. The page shows it.

    It has to be served by the event loop that the objects live on, since it looks at them where
    they are. But for dead letters nothing is asked of a broker, and requests are not
    authenticated: serve it where only those come who may see it.

    Args:
        *objects: Listeners, clients and servers of calls, and producers, entered or not.
        stuck_after_s: Seconds that the lowest unfinished record of a partition may take before it
            counts as stuck, and the program as not ready.
        away_after_s: Seconds that there may be no connection to any broker.
        dead_letter_token: A secret of 16 characters or more, to be sent along with each request
            about dead letters. They are read and sent by the clients of the listeners, with the
            addresses and options that these were made with.

    Returns:
        The application, a `starlette.applications.Starlette`.

    Raises:
        ConfigurationError: Starlette is not installed, an object is something else, a limit is no
            number of seconds, or the token is too short.
    """
    try:
        from sdml_kafka.observability.routes import Routes
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "starlette":
            raise
        raise ConfigurationError(
            "observability.app takes starlette, which is not installed: "
            "pip install 'sdml-kafka-client[page]'"
        ) from None
    return Routes(objects, stuck_after_s, away_after_s, dead_letter_token).application()
