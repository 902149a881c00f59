"""Actors on strings: the test says what they do, and can read and await what they did."""

from collections.abc import Callable
from typing import Any

import anyio

from sdml_kafka.runtime import Actor, ChildSpec, Life, RestartType


class Stage:
    """A log of what the puppets did, and the strings to pull.

    The log has "+a" when puppet a begins to run, "!a" when its string is pulled, and "-a"
    when it has ended.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.puppets: dict[str, Puppet] = {}
        self._changed = anyio.Event()

    def write(self, entry: str) -> None:
        self.log.append(entry)
        self._changed.set()
        self._changed = anyio.Event()

    def take(self) -> list[str]:
        """Return the log so far, which starts anew."""
        log, self.log = self.log, []
        return log

    async def until(self, entry: str, times: int = 1) -> None:
        while self.log.count(entry) < times:
            await self._changed.wait()

    def spec(self, name: str, restart: RestartType = "permanent", **how: Any) -> ChildSpec:
        """Return a child that runs a puppet; `how` goes to ChildSpec, or else to the puppet."""
        timeouts = {k: how.pop(k) for k in ("start_timeout_s", "stop_timeout_s") if k in how}

        def factory() -> Actor:
            self.puppets[name] = Puppet(self, name, **how)
            return self.puppets[name]

        return ChildSpec(name, factory, restart, **timeouts)

    def crash(self, name: str, error: BaseException | None = None) -> None:
        """Let a puppet fail with `error`."""
        self.puppets[name].pull(error if error is not None else ValueError(name))

    def finish(self, name: str) -> None:
        """Let a puppet return."""
        self.puppets[name].pull(None)


async def nothing() -> None:
    pass


class Puppet(Actor):
    """Runs until its string is pulled or it is asked to stop."""

    def __init__(
        self,
        stage: Stage,
        name: str,
        *,
        on_start: Callable[[], Any] = nothing,
        on_stop: Callable[[], Any] = nothing,
        heeds_stop: bool = True,
    ) -> None:
        self._stage = stage
        self._name = name
        self._on_start = on_start
        self._on_stop = on_stop
        self._heeds_stop = heeds_stop
        self._pulled = anyio.Event()
        self._error: BaseException | None = None

    def pull(self, error: BaseException | None) -> None:
        self._error = error
        self._pulled.set()

    async def run(self, life: Life) -> None:
        self._stage.write(f"+{self._name}")
        try:
            await self._on_start()
            life.started()
            if self._heeds_stop:
                with life.cancel_on_stop():
                    await self._pulled.wait()
            else:
                await self._pulled.wait()
            if self._pulled.is_set():
                self._stage.write(f"!{self._name}")
            if self._error is not None:
                raise self._error
            if life.stopping:
                await self._on_stop()
        finally:
            self._stage.write(f"-{self._name}")
