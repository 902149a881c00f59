"""The processors of a listener: those declared before entering, as actors, and those that run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from attrs import frozen

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.declarations import Processing
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.lifecycle import ACTOR_GRACE_S
from sdml_kafka.listener.processing.exactly_once.processor import ExactlyOnceProcessor
from sdml_kafka.listener.processing.exactly_once.transacting import Transacting
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.options import Options
from sdml_kafka.listener.processing.policies import NO_PRODUCER, DeadLetter
from sdml_kafka.listener.processing.processor import Processor, Surroundings
from sdml_kafka.listener.processing.retrying.creation import RetryTopicMaker
from sdml_kafka.listener.processing.retrying.plan import RetryPlan
from sdml_kafka.listener.processing.retrying.queues import RetryQueues
from sdml_kafka.listener.processing.status import ProcessorStatus
from sdml_kafka.listener.router import Router
from sdml_kafka.listener.typed_queue import TypedQueue
from sdml_kafka.producing.outbox import Outbox, Sender
from sdml_kafka.runtime import Actor, ChildSpec, Life, Restarts, Supervisor
from sdml_kafka.transport.interfaces.producer import ConnectProducer


@frozen
class Declared:
    """A processor that was declared before the listener was entered."""

    type: Any
    options: Options


class Processors:
    """Runs the processors of one listener, and knows those that run."""

    def __init__(
        self,
        router: Router,
        around: Surroundings,
        connect_producer: ConnectProducer | None,
        start_timeout_s: float,
        transacting: Transacting,
    ) -> None:
        """Begin with none that runs."""
        self._router = router
        self._around = around
        self._connect_producer = connect_producer
        self._start_timeout_s = start_timeout_s
        self._transacting = transacting
        self._makers: dict[tuple[str, ...], RetryTopicMaker] = {}
        """Those who have created retry topics, by the names of these."""
        self._running: dict[str, Processor | ExactlyOnceProcessor] = {}
        self.dead_letter_topics: set[str] = set()
        """The topics of dead letters that the options of the processors so far name."""
        self._last: dict[str, ProcessorStatus] = {}
        """The last figures of the processors that have ended, by their names."""

    def dead_letters_of(self, type_: Any, options: Options) -> Collection[str]:
        """Return the topics that the options name for the dead letters of a type."""
        if not isinstance(options.on_failure, DeadLetter):
            return ()
        return list(map(options.on_failure.topic_for, self._router.topics_of(type_)))

    def declaration(self, declared: Declared) -> Processing:
        """Return what a processor declares."""
        type_, options = declared.type, declared.options
        topics, policy = tuple(self._router.topics_of(type_)), options.retry_topics
        numbers = range(0 if policy is None else len(policy.delays_s))
        retries = [policy.topic(each, number) for number in numbers for each in topics if policy]
        letters = tuple(self.dead_letters_of(type_, options))
        function = options.handler.function
        return Processing(options.name, topics, type_, function, tuple(retries), letters)

    async def prepare(self, type_: Any, options: Options) -> RetryPlan | None:
        """Create the retry topics of a processor that has any, and have them read.

        Raises:
            UnknownType: No parser yields the type, or it could be several.
            ConfigurationError: What the options say needs a producer, and there is none; or a topic
                cannot be.
            AuthorizationFailed: The broker does not let this client create the topics.
        """
        connect, policy, around = self._connect_producer, options.retry_topics, self._around
        if options.transaction is not None:
            self._transacting.check(retry_topics=policy is not None)
        if options.needs_producer and connect is None:
            raise ConfigurationError(NO_PRODUCER)
        if isinstance(options.on_failure, DeadLetter):
            options.on_failure.check_topics(self._router.topics_of(type_))
            self.dead_letter_topics.update(self.dead_letters_of(type_, options))
        if policy is None or connect is None:
            return None
        firsts = self._router.topics_of(type_)
        plan = RetryPlan(policy, firsts, self._router.own_topics, around.wall_clock)
        maker = self._makers.setdefault(
            tuple(plan.topics), RetryTopicMaker(plan, connect, self._start_timeout_s, around.log)
        )
        await maker.create()
        for suffix, topics in plan.by_suffix.items():
            self._router.add_retry_topics(type_, suffix, topics)
        return plan

    async def run(self, type_: Any, options: Options) -> None:
        """Process the records of a type until cancelled, or until the listener is left.

        Raises:
            UnknownType: No parser yields the type, or it could be several.
            ConfigurationError: What the options say needs a producer, and there is none; or a topic
                cannot be.
            AuthorizationFailed: The broker does not let this client create retry topics.
        """
        plan = await self.prepare(type_, options)
        with ExitStack() as stack:
            queue = self._subscribe(stack, type_, plan)
            processor = self._make(options, queue, plan)
            name = self._free_name(options.name)
            self._running[name] = processor
            stack.callback(self._forget, name)
            maker = None if plan is None else self._makers[tuple(plan.topics)]
            await processor.run(maker)

    def _make(
        self, options: Options, queue: TypedQueue | RetryQueues, plan: RetryPlan | None
    ) -> Processor | ExactlyOnceProcessor:
        if options.transaction is None:
            return Processor(options, queue, self._around, plan)
        parts = self._around, self._transacting, self._start_timeout_s
        return ExactlyOnceProcessor(options, queue, *parts, plan)

    def _forget(self, name: str) -> None:
        self._last[name] = self._running.pop(name).status()

    def _subscribe(
        self, stack: ExitStack, type_: Any, plan: RetryPlan | None
    ) -> TypedQueue | RetryQueues:
        """Return where the records of a type come from, until the end of the stack."""

        def subscribed(queue: TypedQueue) -> TypedQueue:
            stack.callback(self._router.unsubscribe, queue, 0)
            return queue

        router = self._router
        queue = subscribed(router.subscribe(type_, 0, fresh=False))
        if plan is None:
            return queue
        by_suffix = {
            each: subscribed(router.subscribe_retried(type_, each)) for each in plan.by_suffix
        }
        return RetryQueues(queue, plan.queues(by_suffix))

    def _free_name(self, name: str) -> str:
        number, free = 1, name
        while free in self._running:
            number += 1
            free = f"{name}-{number}"
        return free

    def cut_off(self, tenancies: Collection[Tenancy]) -> bool:
        """Give back what the processors have in hand of these tenancies, and end its handlers.

        Return whether there was something.
        """
        return any([each.cut_off(tenancies) for each in list(self._running.values())])

    def unacknowledged(self) -> list[Job]:
        """Return the records that wait only for what was sent for them. Any thread may ask."""
        return [job for each in list(self._running.values()) for job in each.unacknowledged()]

    def end(self) -> None:
        """Let every processor return: nobody drains any more, since the actors have ended."""
        for processor in list(self._running.values()):
            processor.cut_off()

    def status(self, *, with_ended: bool) -> Mapping[str, ProcessorStatus]:
        """Return what each processor is doing, by its name.

        `with_ended` adds the last figures of those that have ended.
        """
        now = {name: processor.status() for name, processor in list(self._running.items())}
        return self._last | now if with_ended else now


class ProcessorActor(Actor):
    """Runs a processor that was declared before entering."""

    def __init__(self, processors: Processors, declared: Declared) -> None:
        self._processors = processors
        self._declared = declared

    async def run(self, life: Life) -> None:
        """Process records until the listener is left."""
        with life.cancel_on_stop():
            await self._processors.prepare(self._declared.type, self._declared.options)
            life.started()
            await self._processors.run(self._declared.type, self._declared.options)


def processing_supervisor(
    processors: Processors,
    declared: Sequence[Declared],
    outbox: Outbox,
    connect_producer: ConnectProducer | None,
    restarts: Restarts,
    is_fatal: Callable[[Exception], bool],
    is_expected: Callable[[Exception], bool],
    start_timeout_s: float,
    beside: Sequence[ChildSpec] = (),
) -> Supervisor:
    """Return the actors of the processors and of the producer that they send with.

    Those of `beside` send with it, too.
    """
    children = [
        ChildSpec(
            f"processor-{number}",
            partial(ProcessorActor, processors, each),
            restart="transient",
            start_timeout_s=start_timeout_s + ACTOR_GRACE_S,
        )
        for number, each in enumerate(declared, start=1)
    ]
    children[:0] = beside
    if connect_producer is not None:
        sender = partial(
            Sender,
            connect_producer,
            outbox,
            start_timeout_s,
            creates_topics=True,
            on_demand=True,
        )
        children.insert(0, ChildSpec("sender", sender))
    return Supervisor(
        "processing", children, restarts=restarts, is_fatal=is_fatal, is_expected=is_expected
    )
