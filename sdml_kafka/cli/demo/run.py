"""Plays the demo: broker, members, senders, calls, and the plan of what goes wrong."""

import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from sdml_kafka.cli.arguments import DemoOptions
from sdml_kafka.cli.demo.answering import Server
from sdml_kafka.cli.demo.calling import Client
from sdml_kafka.cli.demo.calls import CallBook
from sdml_kafka.cli.demo.closing import close_books
from sdml_kafka.cli.demo.director import Director
from sdml_kafka.cli.demo.ledger import Ledger
from sdml_kafka.cli.demo.member import Group, Member
from sdml_kafka.cli.demo.plan import make_plan
from sdml_kafka.cli.demo.producers import DemoFailed, Producer, create_topic, delete_topic, sending
from sdml_kafka.cli.demo.show import Show
from sdml_kafka.cli.demo.stage import Stage
from sdml_kafka.cli.signals import cancel_on_signal
from sdml_kafka.cli.terminal import complain, first_of, set_up_logging
from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError
from sdml_kafka.transport.asyncio_loop import Home, open_home

BALANCED, FAILED, CANNOT_RUN, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141
PARTITIONS = 4
NAMES = ("ada", "bob")
SERVERS = ("server 1", "server 2")
PRODUCERS = 3
RATE = 350.0
"""Records a second of each producer."""


def run(options: DemoOptions) -> int:
    set_up_logging(logging.CRITICAL)  # what happens is shown
    code = PIPE_CLOSED
    try:
        code = anyio.run(Demo(options, open_show()).run, backend=options.backend)
    except* BrokenPipeError:
        # What Python itself would still flush at its end has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def open_show() -> Show:
    """A live picture in a terminal that can show one, plain lines elsewhere."""
    from rich.console import Console

    console = Console()
    if (
        sys.stdout.isatty()
        and os.environ.get("TERM") != "dumb"
        and console.encoding.lower().startswith("utf")
    ):
        from sdml_kafka.cli.demo.view import LiveShow

        return LiveShow(console)
    from sdml_kafka.cli.demo.plain import PlainShow

    return PlainShow()


class Demo:
    def __init__(self, options: DemoOptions, show: Show) -> None:
        self._options = options
        self._show = show
        self._plan = make_plan(options.seconds, owns_broker=options.bootstrap is None)
        self._ledger = Ledger()
        self._book = CallBook()
        self._kafka: EmbeddedKafka | None = None
        self._failure: Exception | None = None
        self._has_begun = False

    async def run(self) -> int:
        """Returns the exit code."""
        is_over = False
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(cancel_on_signal, tasks.cancel_scope)
                await self._run()
                is_over = True
                tasks.cancel_scope.cancel()
        finally:
            self._show.close()
        if self._failure is not None:
            complain(f"demo: {self._failure}")
        if not self._has_begun:
            return CANNOT_RUN if is_over else INTERRUPTED
        cut_short = not is_over or self._failure is not None
        closing = close_books(self._ledger, self._book, cut_short=cut_short)
        self._show.books(closing)
        if not is_over:
            return INTERRUPTED
        return BALANCED if closing.is_good else FAILED

    async def _run(self) -> None:
        try:
            async with (
                self._servers() as servers,
                open_home() as home,
                self._topic(home, servers, "orders") as orders,
                self._topic(home, servers, "prices") as prices,
            ):
                await self._perform(home, servers, orders, prices)
        except* (EmbeddedKafkaError, DemoFailed) as failures:
            self._failure = first_of(failures)

    @asynccontextmanager
    async def _servers(self) -> AsyncGenerator[str]:
        if self._options.bootstrap is not None:
            self._show.starting(f"connecting to {self._options.bootstrap} ...")
            yield self._options.bootstrap
            return
        self._show.starting("starting Apache Kafka ...")
        async with EmbeddedKafka(progress=self._show.starting) as self._kafka:
            yield self._kafka.bootstrap_servers

    @asynccontextmanager
    async def _topic(self, home: Home, servers: str, name: str) -> AsyncGenerator[str]:
        topic = name if self._kafka else f"sdml-kafka-demo-{name}-{secrets.token_hex(4)}"
        await home.call(partial(create_topic, servers, topic, PARTITIONS))
        try:
            yield topic
        finally:
            if self._kafka is None:
                with anyio.CancelScope(shield=True):  # bounded in itself
                    await home.call(partial(delete_topic, servers, topic))

    async def _perform(self, home: Home, servers: str, orders: str, prices: str) -> None:
        stage = Stage(self._title(servers), self._plan, self._ledger, self._book, self._show)
        async with anyio.create_task_group() as tasks:

            def fail(error: Exception) -> None:
                self._failure = self._failure or error
                tasks.cancel_scope.cancel("one of them failed")

            story = stage.story
            group = Group(servers, f"{orders}-group", orders)
            stage.members = [Member(name, group, self._ledger, story, fail) for name in NAMES]
            answering = Group(servers, f"{prices}-group", prices)
            stage.servers = [Server(name, answering, story, fail) for name in SERVERS]
            stage.client = Client("client", servers, prices, self._book, story, fail)
            tasks.start_soon(stage.keep_showing)
            director = Director(stage, self._ledger, self._book, self._kafka, tasks)
            await director.gather()
            senders = [
                Producer(f"sender{number}", servers, orders, RATE, self._ledger)
                for number in range(1, PRODUCERS + 1)
            ]
            async with sending(home, senders):
                self._has_begun = True
                await director.play(self._plan)
            await director.settle()
            await director.dismiss()
            tasks.cancel_scope.cancel()
        stage.update()

    def _title(self, servers: str) -> str:
        whose = "Apache Kafka" if self._kafka is not None else "the Kafka"
        return f"sdml-kafka demo on {self._options.backend} · {whose} at {servers}"
