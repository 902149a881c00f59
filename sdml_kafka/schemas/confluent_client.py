"""A registry asked by confluent-kafka's own client, in threads.

The client waits, so each request has a thread, which is left behind if nobody waits any more; the
client's own time-out ends it. Retries, caches and bounds are ours: the client's retries sleep
without an end, and its caches grow without one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from os import getpid
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from attrs import define, field

from sdml_kafka.errors import ConfigurationError, SchemaRefused, SchemaUnknown
from sdml_kafka.log_fields import escaped
from sdml_kafka.schemas.confluent_requests import Asked, is_no_such_page, is_unknown
from sdml_kafka.schemas.source import Registered, RegistryAway, SchemaId, SchemaText

MAX_THREADS = 4
"""Threads that ask at once, those that nobody waits for any more included."""
MAX_NUMBER = 2**31 - 1
"""The highest number of a schema: Confluent's registry has it as an int of Java."""
MAX_TEXT = 200


@define
class _Clients:
    """The clients of one process: each is used by one thread at a time, and its cache with it.

    Threads that share one would read what the client remembers of the others' answers, whatever
    format they ask for (findings/confluent-schema-format-cache.sh).
    """

    pid: int
    free: list[Any] = field(factory=list[Any])
    busy: list[Any] = field(factory=list[Any])


class ConfluentClient:
    """Asks a registry by `confluent_kafka.schema_registry`."""

    def __init__(
        self, url: str, options: Mapping[str, Any], timeout_s: float, max_schema_bytes: int
    ) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigurationError: The extra `registry` is not installed, or an option cannot work.
        """
        try:
            module = import_module("confluent_kafka.schema_registry")
        except ImportError:
            raise ConfigurationError(
                "SchemaRegistry takes confluent-kafka's registry client, which is not installed: "
                "pip install 'sdml-kafka-client[registry]'"
            ) from None
        self._module: Any = module
        self._max_bytes, self._timeout_s = max_schema_bytes, timeout_s
        # One address after another is asked, and all of them have to fit in.
        each_s = timeout_s / len(addresses_in(url))
        conf = {**_without_credentials(url), **options, "max.retries": 0, "timeout": each_s}
        self._is_mock = url.startswith("mock://")

        def new_client() -> Any:  # no partial, whose repr would show a secret
            client = module.SchemaRegistryClient.new_client(conf)
            if not self._is_mock:
                _bound_answers(client, max_schema_bytes, each_s)
            return client

        self._new_client = new_client
        try:
            first = new_client()
        except ConfigurationError:
            raise
        except Exception as error:  # its text may show a secret
            raise ConfigurationError(
                f"The registry's url or options cannot work ({type(error).__name__}): the names "
                "are those of confluent-kafka's SchemaRegistryClient"
            ) from None
        self._clients, self._of_parents = _Clients(getpid(), [first]), list[_Clients]()
        self._is_closed = False
        self._limiter = RunVar[anyio.CapacityLimiter]("registry")  # one is for one event loop

    async def fetch(self, schema_id: SchemaId, /) -> SchemaText:
        """Return a schema by its number or GUID."""
        if isinstance(schema_id, int) and schema_id > MAX_NUMBER:
            # Asked for it, a registry answers as if it had no such page: that would hold a record.
            raise SchemaUnknown("no registry gives a schema such a number")
        return await self._ask(lambda asked: asked.fetch(schema_id))

    async def registered(
        self, subject: str, schema: SchemaText | None, /, *, register: bool
    ) -> Registered:
        """Return the schema of a subject; see `RegistryClient`."""
        return await self._ask(lambda asked: asked.registered(subject, schema, register=register))

    def close(self) -> None:
        """Close the connections, those in use as soon as their answers are there."""
        self._is_closed = True
        if self._clients.pid == getpid():  # another process's are still in use there
            while self._clients.free:
                self._clients.free.pop().close()

    async def _ask[T](self, request: Callable[[Asked], T]) -> T:
        if self._is_closed:
            raise RegistryAway("this SchemaRegistry was closed")
        if self._is_mock:  # whose schemas are in its client
            return self._translated(self._clients.free[0], request)
        try:
            limiter = self._limiter.get()
        except LookupError:
            self._limiter.set(limiter := anyio.CapacityLimiter(MAX_THREADS))
        return await anyio.to_thread.run_sync(
            self._in_thread, request, abandon_on_cancel=True, limiter=limiter
        )

    def _translated[T](self, client: Any, request: Callable[[Asked], T]) -> T:
        """Return the answer, and raise what `RegistryClient` names."""
        try:
            client.clear_caches()
            due = monotonic() + self._timeout_s
            return request(Asked(client, self._module, self._max_bytes, due))
        except (SchemaUnknown, SchemaRefused, RegistryAway):
            raise
        except self._module.SchemaRegistryError as error:
            raise _translate(error) from None
        except Exception as error:
            # The text may quote what came, or an address with credentials.
            why = _cause(error)
            raise RegistryAway(why) from None

    # -- in a thread ---------------------------------------------------------------------

    def _in_thread[T](self, request: Callable[[Asked], T]) -> T:
        clients = self._clients
        if clients.pid != getpid():
            # On the connections of the process that forked, each would read answers to the other.
            # To close them might take a lock that is held for good.
            self._of_parents.append(clients)
            clients = self._clients = _Clients(getpid())
        # On asyncio the limiter forgets threads that nobody waits for any more:
        # findings/anyio-abandoned-threads.sh
        if len(clients.busy) >= MAX_THREADS:
            raise RegistryAway(f"{MAX_THREADS} requests to it have no answer yet")
        try:
            client = clients.free.pop()
        except IndexError:
            client = self._new_client()
        clients.busy.append(client)
        try:
            return self._translated(client, request)
        finally:
            clients.busy.remove(client)
            clients.free.append(client)
            if self._is_closed:
                self.close()


def _translate(error: Any) -> Exception:
    status = error.http_status_code
    if is_unknown(error):
        return SchemaUnknown("the registry does not know it")
    if status in (401, 403):
        return RegistryAway(f"it refuses this client (HTTP {status}): are the credentials right?")
    if status in (409, 422):
        text = escaped(error.error_message, MAX_TEXT)
        return SchemaRefused(f"the registry refuses the schema (HTTP {status}): {text}")
    hint = ": is the url right?" if is_no_such_page(error) else ""
    return RegistryAway(f"it answers HTTP {status}{hint}")


def _cause(error: Exception) -> str:
    """Return what kept a registry from an answer, without any text of others."""
    while isinstance(cause := error.__cause__ or error.__context__, Exception):
        if isinstance(error, OSError):
            break
        error = cause
    reason = error.strerror if isinstance(error, OSError) and error.strerror else None
    return reason or type(error).__name__


def addresses_in(url: str) -> list[str]:
    """Return the addresses of a registry, which stand with commas between them."""
    return re.split(r"\s*,\s*(?=[A-Za-z]+://)", url.strip())  # a password may have a comma, too


def _without_credentials(url: str) -> dict[str, Any]:
    """Return the options for addresses, whose credentials no error and no log can show then."""
    bare, found = list[str](), set[str]()
    for address in addresses_in(url):
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https", "mock"):
            raise ConfigurationError(
                "The registry's url has to begin with http:// or https://, as in "
                "'http://localhost:8081', or be 'mock://' in tests"
            )
        if parts.username is not None:
            found.add(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
            address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        bare.append(address)
    if len(found) > 1:
        raise ConfigurationError("The registry's addresses have different credentials: give one")
    options = {"url": ",".join(bare)}
    if found:
        options["basic.auth.user.info"] = found.pop()
    return options


def _bound_answers(client: Any, max_schema_bytes: int, timeout_s: float) -> None:
    """Have the client read no more of an answer than a schema needs, escaped as it is in JSON.

    Nor longer than `timeout_s`: the client's own time-out is for each part of an answer, so that
    one which trickles in would keep its thread for good.
    """
    try:
        session = client._rest_client.session
        httpx = import_module(type(session).__module__.partition(".")[0])
        base: Any = httpx.SyncByteStream
        hooks = session.event_hooks
    except (AttributeError, ImportError) as error:
        raise ConfigurationError(
            "This confluent-kafka's registry client is built in another way than 2.16's, and the "
            "size of its answers could not be bounded: use a version that is tested"
        ) from error
    most = 2 * max_schema_bytes + 10_000

    class Bounded(base):  # type: ignore[misc]  # of a library that is chosen at run time
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            size, due = 0, monotonic() + timeout_s
            for part in self._stream:
                size += len(part)
                if monotonic() > due:
                    raise RegistryAway(f"its answer takes more than {timeout_s:g} s")
                if size > most:
                    raise SchemaRefused(f"the registry's answer has more than {most} bytes")
                yield part

        def close(self) -> None:
            self._stream.close()

    def bound(response: Any) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise RegistryAway("it answers with compressed bytes, which were not asked for")
        response.stream = Bounded(response.stream)

    session.headers["accept-encoding"] = "identity"
    session.event_hooks = {**hooks, "response": [*hooks["response"], bound]}
