"""The answers of a registry, each question asked once, and again while it is away.

How this works. `get` is called for each record, and never waits: it returns the answer, raises the
registry's refusal again, or raises `NotYet`. `prepare`, which that carries, asks. Of several that
wait for one answer the first asks, and when that one is cancelled the next one does. A refusal is
remembered for a while alone, since a schema may be registered later.

Rules for whoever edits this file:

- Nothing here lasts longer than those who wait: no task, no timer.
- Each dictionary is bounded. What a record names is a stranger's choice.
"""

from collections.abc import Awaitable, Callable, Hashable
from functools import partial

import anyio
from anyio.lowlevel import RunVar
from attrs import define, field

from sdml_kafka.errors import ConfigurationError, SchemaRefused, SchemaUnknown
from sdml_kafka.log_fields import escaped
from sdml_kafka.parsing.not_yet import NotYet
from sdml_kafka.schemas.remembered import remember
from sdml_kafka.schemas.source import RegistryAway

FIRST_PAUSE_S = 0.25
"""Seconds before a registry that is away is asked again; they double each time."""
LONGEST_PAUSE_S = 10.0

Refusal = SchemaUnknown | SchemaRefused


@define
class _Asking:
    """A question that is being asked, by one of those who wait for its answer."""

    lock: anyio.Lock = field(factory=anyio.Lock)
    waiting: int = 0


@define
class _Loop[K: Hashable]:
    """One event loop's own part: a lock is for one loop, and so is a time on its clock."""

    asking: dict[K, _Asking] = field(factory=dict[K, _Asking])
    refused: dict[K, tuple[Refusal, float]] = field(factory=dict[K, tuple[Refusal, float]])


class Answers[K: Hashable, V]:
    """The answers of a registry by what was asked."""

    def __init__(
        self,
        ask: Callable[[K], Awaitable[V]],
        name: Callable[[K], str],
        timeout_s: float,
        max_known: int,
        refused_for_s: float,
    ) -> None:
        """Begin with no answer.

        Args:
            ask: Asks the registry; see `RegistryClient` for what it raises.
            name: Returns the name of what is asked for, as statuses and errors show it.
            timeout_s: Seconds that an answer may take.
            max_known: The number of answers, and of refusals, that are remembered.
            refused_for_s: Seconds after which something that was refused is asked for again.
        """
        self._ask, self._name = ask, name
        self._timeout_s, self._max_known, self._refused_for_s = timeout_s, max_known, refused_for_s
        self._known: dict[K, V] = {}
        self._loop = RunVar[_Loop[K]]("answers")  # ends with the loop, however that ends
        self._away: str | None = None
        """Why the last answer did not come, None if it came."""

    def get(self, key: K) -> V:
        """Return the answer.

        Raises:
            NotYet: It was not asked for, or not answered.
            SchemaUnknown: The registry has no such schema.
            SchemaRefused: The schema is of no use.
        """
        known = self._known.get(key)
        if known is not None:
            return known
        refusal = self._refusal(key)
        if refusal is not None:
            raise type(refusal)(str(refusal))  # one that is raised again and again would grow
        raise NotYet(partial(self._why, key), partial(self.prepare, key))

    async def prepare(self, key: K) -> None:
        """Ask until there is an answer or a refusal."""
        all_asking = self._here().asking
        asking = all_asking.get(key)
        if asking is None:
            asking = all_asking[key] = _Asking()
        asking.waiting += 1
        try:
            async with asking.lock:
                if key not in self._known and self._refusal(key) is None:
                    await self._ask_until_answered(key)
        finally:
            asking.waiting -= 1
            if not asking.waiting:
                del all_asking[key]

    def note_there(self, key: K) -> None:
        """Ask again for what was refused before, since the registry has it now."""
        self._here().refused.pop(key, None)

    def _here(self) -> _Loop[K]:
        try:
            return self._loop.get()
        except LookupError:
            self._loop.set(here := _Loop[K]())
            return here

    def _refusal(self, key: K) -> Refusal | None:
        try:
            refused = self._here().refused
        except anyio.NoEventLoopError:
            return None  # a thread asks, which may have a loop prepare it
        refusal, until = refused.get(key, (None, 0.0))
        if refusal is not None and anyio.current_time() >= until:
            refused.pop(key, None)
            return None
        return refusal

    async def _ask_until_answered(self, key: K) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                with anyio.fail_after(self._timeout_s):
                    answer = await self._ask(key)
            except (SchemaUnknown, SchemaRefused) as refusal:
                self._away = None
                until = anyio.current_time() + self._refused_for_s
                named = type(refusal)(f"{self._name(key)}: {refusal}")
                remember(self._here().refused, key, (named, until), self._max_known)
                return
            except TimeoutError:
                self._away = f"no answer within {self._timeout_s:g} s"
            except RegistryAway as away:
                self._away = escaped(away)
            except ConfigurationError:
                raise
            except Exception as error:  # of a program's own client: no record is skipped for that
                self._away = f"its client has raised {type(error).__name__}"
            else:
                self._away = None
                remember(self._known, key, answer, self._max_known)
                self._here().refused.pop(key, None)
                return
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _why(self, key: K) -> str:
        if self._away is not None:
            return f"schema registry away: {self._away}"
        return f"{self._name(key)} is being fetched"
