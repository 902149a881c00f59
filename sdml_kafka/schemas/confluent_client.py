"""A registry asked by confluent-kafka's own client, in threads.

The client waits, so each request has a thread, which is left behind if nobody waits any more; the
client's own time-out ends it. Retries, caches and bounds are ours: the client's retries sleep
without an end, and its caches grow without one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from os import getpid
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from sdml_kafka.errors import ConfigurationError, SchemaRefused, SchemaUnknown
from sdml_kafka.log_fields import escaped
from sdml_kafka.schemas.source import Registered, RegistryAway, SchemaId, SchemaText

MAX_THREADS = 4
"""Threads that ask at once, those that nobody waits for any more included."""
MAX_REFERENCES = 100
"""Schemas that one may refer to, directly and through others."""
MAX_NUMBER = 2**31 - 1
"""The highest number of a schema: Confluent's registry has it as an int of Java."""
MAX_TEXT = 200
_UNKNOWN_CODES = range(40400, 40500)
"""The registry's error codes for what it does not have; a proxy's 404 has none of them."""


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
        self._max_bytes = max_schema_bytes
        conf = {**_without_credentials(url), **options, "max.retries": 0, "timeout": timeout_s}
        # No partial, whose repr would show a secret.
        self._new_client: Callable[[], Any] = lambda: module.SchemaRegistryClient.new_client(conf)
        try:
            self._client: Any = self._new_client()
        except Exception as error:  # its text may show a secret
            raise ConfigurationError(
                f"The registry's url or options cannot work ({type(error).__name__}): the names "
                "are those of confluent-kafka's SchemaRegistryClient"
            ) from None
        self._is_mock = url.startswith("mock://")
        self._bound = partial(
            _bound_answers, max_schema_bytes=max_schema_bytes, timeout_s=timeout_s
        )
        if not self._is_mock:
            self._bound(self._client)
        self._pid, self._of_parents = getpid(), list[Any]()
        self._limiter = RunVar[anyio.CapacityLimiter]("registry")  # one is for one event loop

    async def fetch(self, schema_id: SchemaId, /) -> SchemaText:
        """Return a schema by its number or GUID."""
        if isinstance(schema_id, int) and schema_id > MAX_NUMBER:
            # Asked for it, a registry answers as if it had no such page: that would hold a record.
            raise SchemaUnknown("no registry gives a schema such a number")
        return await self._ask(lambda: self._fetch(schema_id))

    async def registered(
        self, subject: str, schema: SchemaText | None, /, *, register: bool
    ) -> Registered:
        """Return the schema of a subject; see `RegistryClient`."""
        return await self._ask(lambda: self._registered(subject, schema, register))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _ask[T](self, request: Callable[[], T]) -> T:
        if self._is_mock:
            return self._translated(request)
        try:
            limiter = self._limiter.get()
        except LookupError:
            self._limiter.set(limiter := anyio.CapacityLimiter(MAX_THREADS))
        return await anyio.to_thread.run_sync(
            self._translated, request, abandon_on_cancel=True, limiter=limiter
        )

    def _translated[T](self, request: Callable[[], T]) -> T:
        """Return the answer, and raise what `RegistryClient` names."""
        try:
            if self._pid != getpid() and not self._is_mock:
                self._leave_to_parent()
            self._client.clear_caches()
            return request()
        except (SchemaUnknown, SchemaRefused, RegistryAway):
            raise
        except self._module.SchemaRegistryError as error:
            raise _translate(error) from None
        except Exception as error:
            # The text may quote what came, or an address with credentials.
            why = _cause(error)
            raise RegistryAway(why) from None

    # -- in a thread ---------------------------------------------------------------------

    def _leave_to_parent(self) -> None:
        # On the connections of the process that forked, each would read answers to the other.
        client = self._new_client()
        self._bound(client)
        self._of_parents.append(self._client)  # to close it might take a lock held for good
        self._client, self._pid = client, getpid()

    def _fetch(self, schema_id: SchemaId) -> SchemaText:
        def get(format: str | None) -> Any:
            if isinstance(schema_id, UUID):
                return self._client.get_schema_by_guid(str(schema_id), fmt=format)
            return self._client.get_schema(schema_id, fmt=format)

        return self._text(get)

    def _registered(self, subject: str, schema: SchemaText | None, register: bool) -> Registered:
        client = self._client
        if schema is None:
            latest = client.get_latest_version(subject)
            found = self._text(
                lambda format: (
                    latest.schema
                    if format is None
                    else client.get_schema(latest.schema_id, fmt=format)  # no later one
                )
            )
            return Registered(_number(latest.schema_id), _guid(latest.guid), found)
        wanted = self._module.Schema(schema.text, schema.kind, [])
        ask = client.register_schema_full_response if register else client.lookup_schema
        known = ask(subject, wanted)
        return Registered(_number(known.schema_id), _guid(known.guid), schema)

    def _text(self, get: Callable[[str | None], Any]) -> SchemaText:
        schema = get(None)
        kind = schema.schema_type or "AVRO"
        if kind == "PROTOBUF":
            self._client.clear_caches()
            schema = get("serialized")
        text = schema.schema_str
        if not isinstance(kind, str) or not isinstance(text, str):
            raise RegistryAway("it answers what is no schema")
        if len(text) > self._max_bytes:
            raise SchemaRefused(f"the schema has more than {self._max_bytes} bytes")
        # Of a Protobuf the names of its own messages are all that is looked at.
        references = {} if kind == "PROTOBUF" else self._references(schema, {}, set())
        return SchemaText(kind, text, references)

    def _references(
        self, schema: Any, found: dict[str, str], seen: set[tuple[str, str, int]]
    ) -> dict[str, str]:
        """Add the schemas that this one refers to, each behind those that it needs."""
        for each in schema.references or ():
            place = each.name, each.subject, each.version
            if place in seen:
                continue
            if len(seen) >= MAX_REFERENCES:
                raise SchemaRefused(f"the schema refers to more than {MAX_REFERENCES} others")
            seen.add(place)
            other = self._client.get_version(each.subject, each.version, True).schema
            if not isinstance(other.schema_str, str) or not isinstance(each.name, str):
                raise RegistryAway("it answers what is no schema")
            self._references(other, found, seen)
            found[each.name] = other.schema_str
        return found


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise RegistryAway("it answers with an impossible number of a schema")
    return value


def _guid(value: object) -> UUID | None:
    return UUID(value) if isinstance(value, str) else None


def _translate(error: Any) -> Exception:
    status, code = error.http_status_code, error.error_code
    if status == 404 and code in _UNKNOWN_CODES:
        return SchemaUnknown("the registry does not know it")
    if status in (401, 403):
        return RegistryAway(f"it refuses this client (HTTP {status}): are the credentials right?")
    if status in (409, 422):
        text = escaped(error.error_message, MAX_TEXT)
        return SchemaRefused(f"the registry refuses the schema (HTTP {status}): {text}")
    hint = ": is the url right?" if status == 404 else ""
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
