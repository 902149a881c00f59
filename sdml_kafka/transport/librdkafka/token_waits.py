"""Make clients that wait for a token in another thread than the program's.

confluent-kafka does not return from the constructor of a client with an `oauth_cb` before that has
given a token: it looks once a second, and gives up after 10 s. (The function is called in a thread
of librdkafka.)
"""

from collections.abc import Callable

import anyio.to_thread

from sdml_kafka.transport.librdkafka.options import TOKEN_FUNCTION, Settings


async def made_apart[T](settings: Settings, make: Callable[[], T]) -> T:
    """Return what a function makes, without holding up the program's event loop.

    Whoever is cancelled meanwhile gets what was made, since it has to be closed.

    Args:
        settings: The configuration of the clients that it makes.
        make: Makes them. What it hands to them may be called before it returns.
    """
    if TOKEN_FUNCTION not in settings:
        return make()
    return await anyio.to_thread.run_sync(make)
