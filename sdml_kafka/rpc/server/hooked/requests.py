"""Requests that hooks observe: as they are delivered, as handlers run for them, and their ends."""

from collections.abc import Sequence
from typing import Any

from sdml_kafka.hooks.batches import on_delivered
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.events import RequestHandled
from sdml_kafka.hooks.participation import Handling
from sdml_kafka.rpc.dialects.messages import OK
from sdml_kafka.rpc.server.call import Answer, ServerCall
from sdml_kafka.rpc.server.call_lifecycle import CallLifecycle
from sdml_kafka.rpc.server.handler_runner import HandlerRunner
from sdml_kafka.rpc.server.request_intake import RequestIntake
from sdml_kafka.rpc.server.request_queue import CallsOf, Lane
from sdml_kafka.transport.interfaces.records import Record


def delivering(hooks: Hooks, intake: RequestIntake) -> CallsOf:
    """Return what makes calls of records, and calls hooks for these before."""
    observe = on_delivered(hooks)
    if observe is None:
        return intake.calls_of

    def observed(lane: Lane, records: Sequence[Record], now: float) -> list[ServerCall]:
        observe(lane.partition.key, records, (lane.handler.name,))
        return intake.calls_of(lane, records, now)

    return observed


def runner_of(hooks: Hooks, *parts: Any, **options: Any) -> HandlerRunner:
    """Return what runs handlers, inside of what hooks enter if one of them wants to."""
    if hooks.enter is None:
        return HandlerRunner(*parts, **options)
    return HookedRunner(hooks, *parts, **options)


class HookedRunner(HandlerRunner):
    """Runs handlers inside of what hooks enter, their parsers included."""

    def __init__(self, hooks: Hooks, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self._hooks = hooks

    async def answer(self, call: ServerCall) -> Answer:
        """Return the answer to a call; see `HandlerRunner.answer`."""
        hooks = self._hooks
        assert hooks.enter is not None
        of = hooks.origin, call.handler.name, (call.record,), 1, False, call.request_id
        call.handling = handling = Handling(*of, _is_notification(call))
        leave = hooks.enter(handling)
        try:
            answer = await super().answer(call)
        except BaseException as error:
            leave(error)
            raise
        leave(call.failure)
        return answer

    def _invalid(self, call: ServerCall, error: BaseException) -> Answer:
        call.failure = error
        return super()._invalid(call, error)

    def failed(self, call: ServerCall, error: BaseException) -> Answer:
        """Return the answer to a call whose handler raised `error`."""
        call.failure = error
        return super().failed(call, error)


def _is_notification(call: ServerCall) -> bool:
    return not (call.reply_topics or call.refused_topics)


def lifecycle_of(hooks: Hooks, *parts: Any) -> CallLifecycle:
    """Return the lifecycle of calls, whose ends hooks observe if one of them wants to."""
    if hooks.request_handled is None and hooks.time_handler is None:
        return CallLifecycle(*parts)
    return HookedLifecycle(hooks, *parts)


class HookedLifecycle(CallLifecycle):
    """The calls as the workers' jobs, whose ends hooks observe."""

    def __init__(self, hooks: Hooks, *parts: Any) -> None:
        super().__init__(*parts)
        self._hooks = hooks

    def take(self) -> ServerCall | None:
        """Return the next call that needs a handler; see `CallLifecycle.take`."""
        call = super().take()
        if call is not None:
            call.began = self.now
        return call

    def ended(self, call: ServerCall, answer: Answer, *, is_repeatable: bool = True) -> None:
        """Send the answer of a call whose handler has ended; see `CallLifecycle.ended`."""
        hooks, seconds = self._hooks, self._clock() - call.began
        if (time_handler := hooks.time_handler) is not None:
            time_handler("server", call.handler.name, seconds)
        if (handled := hooks.request_handled) is not None:
            status = "ok" if answer[1] == OK else answer[1]
            of = call.topic, call.handler.name, seconds, status, call.request_id
            handled(RequestHandled(hooks.origin, *of, _is_notification(call)))
        super().ended(call, answer, is_repeatable=is_repeatable)
