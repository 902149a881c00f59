"""The calls of hooks by the parts: each gets the functions that somebody has overridden, or None.

How this works. `Hooks` is made once for a listener, client, server or producer. It has an attribute
for each method of `Hook`: a function that calls all hooks which override the method, or None if
none does. A part looks at that once, for a batch of records or when it is built, so that
what nobody observes costs nothing. Whoever adds a place that calls a hook looks for a batch.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from difflib import get_close_matches
from functools import partial
from inspect import iscoroutinefunction, isfunction
from logging import getLogger
from typing import Any

from attrs import evolve

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.hooks.events import (
    Assigned,
    BrokerBack,
    BrokerGone,
    CallBegun,
    CallSettled,
    Committed,
    Crashed,
    DeadLettered,
    Delivered,
    Drained,
    FailedCommit,
    Finished,
    Kind,
    Lost,
    Origin,
    RequestHandled,
    Restarted,
    Retried,
)
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.hooks.participation import Handling, OnOutcome, Outgoing, not_headers
from sdml_kafka.hooks.timing import TimingHook
from sdml_kafka.log_fields import fields
from sdml_kafka.runtime import ActorCrashed, ActorStarted, Event
from sdml_kafka.safe_tracebacks import with_safe_tracebacks

type Calls[E] = Callable[[E], None] | None
"""Calls all hooks that override a method; None if none does."""
type TimeCall = Callable[[str, str, float], None]
"""Takes the topic, the outcome and the seconds of a call."""
type TimeHandler = Callable[[Kind, str, float], None]
"""Takes the kind of object, the handler and its seconds."""
type OnEvent = Callable[[Event], None]
type Leave = Callable[[BaseException | None], None]
"""Leaves what hooks have entered around a handler, with its exception."""

_log = with_safe_tracebacks(getLogger("sdml_kafka.hooks"))


class Hooks:
    """The hooks of one listener, client, server or producer."""

    delivered: Calls[Delivered]
    finished: Calls[Finished]
    committed: Calls[Committed]
    commit_failed: Calls[FailedCommit]
    retried: Calls[Retried]
    dead_lettered: Calls[DeadLettered]
    call_begun: Calls[CallBegun]
    call_settled: Calls[CallSettled]
    request_handled: Calls[RequestHandled]
    assigned: Calls[Assigned]
    drained: Calls[Drained]
    lost: Calls[Lost]
    actor_crashed: Calls[Crashed]
    actor_restarted: Calls[Restarted]
    broker_gone: Calls[BrokerGone]
    broker_back: Calls[BrokerBack]

    def __init__(
        self, hooks: Sequence[Hook], origin: Origin, on_event: OnEvent | None = None
    ) -> None:
        """Look at which methods are overridden.

        Args:
            hooks: What the program gave.
            origin: What events say of where they happened.
            on_event: The program's own observer of actors, which is called as well.

        Raises:
            ConfigurationError: One of them is no `Hook`, or has a method that would be awaited.
        """
        self.origin: Origin = origin
        hooks = _checked(hooks)
        for hook in hooks:
            _note_misspelt(type(hook), self.log_fields())
        for name in EVENTS:
            setattr(self, name, _calls_of(hooks, name))
        self.enter: Callable[[Handling], Leave] | None = None
        """Enters what hooks return for an attempt; None if no hook overrides `handling`."""
        if around := _guarded(hooks, "handling"):
            self.enter = partial(_enter, around)
        self.sending: Callable[[Outgoing], OnOutcome | None] | None = None
        """Has hooks take part in a message; None if no hook overrides `sending`."""
        if sending := _guarded(hooks, "sending"):
            self.sending = partial(_send, sending)
        timing = [hook for hook in hooks if isinstance(hook, TimingHook)]
        self.time_call: TimeCall | None = _calling([each.time_call for each in timing])
        self.time_handler: TimeHandler | None = _calling([each.time_handler for each in timing])
        self.wants_record_in_hand: bool = any(hook.wants_record_in_hand for hook in hooks)
        self.on_event: OnEvent | None = on_event
        """Takes what the supervisors report."""
        if self.actor_crashed is not None or self.actor_restarted is not None:
            self.on_event = partial(self._note_event, on_event)

    def note_group(self, group_id: str) -> None:
        """Note the group of a consumer that has started; a factory may have named it."""
        if group_id != self.origin.group_id:
            self.origin = evolve(self.origin, group_id=group_id)

    def log_fields(self) -> dict[str, object]:
        """Return the fields that all log lines of the object have."""
        return fields(group=self.origin.group_id, client_id=self.origin.client_id)

    def _note_event(self, on_event: OnEvent | None, event: Event) -> None:
        if isinstance(event, ActorCrashed) and self.actor_crashed is not None:
            self.actor_crashed(Crashed(self.origin, event.path, event.error))
        if isinstance(event, ActorStarted) and event.restarts and self.actor_restarted is not None:
            self.actor_restarted(Restarted(self.origin, event.path, event.restarts))
        if on_event is not None:
            on_event(event)


def hooks_of(
    kind: Kind,
    group_id: str | None,
    client_options: Mapping[str, Any] | None,
    aiokafka_options: Mapping[str, Any],
    hooks: Sequence[Hook],
    on_event: OnEvent | None,
) -> Hooks:
    """Return the hooks of an object that is made with these options."""
    client_id = (client_options or {}).get("client.id", aiokafka_options.get("client_id"))
    return Hooks(hooks, Origin(kind, group_id or "", str(client_id or "")), on_event)


EVENTS = (
    "delivered",
    "finished",
    "committed",
    "commit_failed",
    "retried",
    "dead_lettered",
    "call_begun",
    "call_settled",
    "request_handled",
    "assigned",
    "drained",
    "lost",
    "actor_crashed",
    "actor_restarted",
    "broker_gone",
    "broker_back",
)
"""The methods of `Hook` that learn of what has happened."""
METHODS = (*EVENTS, "handling", "sending")
SIMILARITY = 0.65
"""The least likeness of names, by difflib: "retry" is 0.67 like "retried", "record" 0.62."""


ENDS_THE_PROGRAM = (KeyboardInterrupt, SystemExit)
"""The errors that come out of a hook. A CancelledError does not: it cancels no task of ours, since
a plain function gets one only from elsewhere, such as a cancelled future that it asks for its
result."""


class _Guarded:
    """A method of a hook, whose errors harm nothing and are logged once."""

    __slots__ = ("_has_failed", "_method")

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        self._has_failed = False

    def __call__(self, argument: object) -> Any:
        try:
            return self._method(argument)
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            self.note(error)
            return None

    def note(self, error: BaseException) -> None:
        """Log an error, unless the method has raised before."""
        if not self._has_failed:
            self._has_failed = True
            name = getattr(self._method, "__qualname__", repr(self._method))
            text = "the hook %s raised, which is logged this once; all else goes on"
            _log.error(text, name, exc_info=error, extra=fields(error=error))

    def guard(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Call what the method has returned."""
        try:
            return function(*arguments)
        except ENDS_THE_PROGRAM:
            raise
        except BaseException as error:
            self.note(error)
            return None


def _checked(hooks: object) -> list[Hook]:
    if not isinstance(hooks, Sequence) or not all(isinstance(each, Hook) for each in hooks):  # pyright: ignore[reportUnknownVariableType]
        raise ConfigurationError(f"hooks is a list of Hook objects, not {hooks!r:.300}")
    checked: list[Hook] = list(hooks)  # pyright: ignore[reportUnknownArgumentType]
    for hook in checked:
        for name in METHODS:
            if iscoroutinefunction(getattr(hook, name)):
                raise ConfigurationError(
                    f"{type(hook).__name__}.{name} is async, and hooks are not awaited: make it a "
                    "plain function"
                )
    return checked


def _note_misspelt(kind: type[Hook], extra: Mapping[str, object]) -> None:
    """Log methods that look like a hook's and are none, which would never be called in silence."""
    own = [each for each in kind.__mro__ if issubclass(each, Hook) and each is not Hook]
    names = {name: None for each in own for name, what in vars(each).items() if isfunction(what)}
    for name in names.keys() - METHODS:
        bare = name.removeprefix("on_")
        meant = get_close_matches(bare, METHODS, 1, SIMILARITY)
        if meant and meant[0][:2] == bare[:2]:
            text = (
                "the hook %s has a method %s, which nothing calls: did you mean %s? The name of a "
                "helper may begin with _"
            )
            _log.warning(text, kind.__qualname__, name, meant[0], extra=extra)


def _guarded(hooks: Sequence[Hook], name: str) -> list[_Guarded]:
    """Return this method of the hooks that override it."""
    methods = [getattr(hook, name) for hook in hooks]
    own = getattr(Hook, name)
    return [_Guarded(method) for method in methods if getattr(method, "__func__", None) is not own]


def _calls_of(hooks: Sequence[Hook], name: str) -> Calls[Any]:
    return _calling(_guarded(hooks, name))


def _calling(functions: Sequence[Callable[..., None]]) -> Callable[..., None] | None:
    """Return what calls all of these, None if there are none."""
    if len(functions) < 2:
        return functions[0] if functions else None

    def call_all(*arguments: object) -> None:
        for function in functions:
            function(*arguments)

    return call_all


def _enter(methods: Sequence[_Guarded], handling: Handling) -> Leave:
    if len(methods) == 1:
        return _enter_one(methods[0], handling)
    leaves = [_enter_one(method, handling) for method in methods]

    def leave(error: BaseException | None) -> None:
        for leave_one in reversed(leaves):
            leave_one(error)

    return leave


def _enter_one(method: _Guarded, handling: Handling) -> Leave:
    around: AbstractContextManager[object] | None = method(handling)
    if around is None:
        return _leave_nothing
    try:
        around.__enter__()
    except ENDS_THE_PROGRAM:
        raise
    except BaseException as error:
        method.note(error)
        return _leave_nothing

    def leave(error: BaseException | None) -> None:
        try:
            if error is None:
                around.__exit__(None, None, None)
            else:
                around.__exit__(type(error), error, error.__traceback__)
        except BaseException as failure:
            if failure is error:  # a generator raises what was thrown into it; the caller does too
                return
            if isinstance(failure, ENDS_THE_PROGRAM):
                raise
            method.note(failure)

    return leave


def _leave_nothing(error: BaseException | None) -> None:
    pass


def _send(methods: Sequence[_Guarded], message: Outgoing) -> OnOutcome | None:
    ends: list[tuple[_Guarded, OnOutcome]] | None = None
    for method in methods:
        headers = message.headers
        end = method(message)
        if message.headers is not headers and (why := not_headers(message.headers)) is not None:
            message.headers = headers
            method.note(TypeError(f"the message goes without the hook's headers: {why}"))
        if end is not None:
            ends = [(method, end)] if ends is None else [*ends, (method, end)]
    if ends is None:
        return None

    def end_all(error: Exception | None) -> None:
        for method, end in ends:
            method.guard(end, error)

    return end_all
