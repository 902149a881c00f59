"""Runs the demo: starts the broker, gathers the participants, sends, and shows the books."""

import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import SdmlKafkaError
from sdml_kafka.cli.demo.arguments import DemoOptions
from sdml_kafka.cli.demo.books.bill_book import BillBook
from sdml_kafka.cli.demo.books.call_book import CallBook
from sdml_kafka.cli.demo.books.final_report import make_final_report
from sdml_kafka.cli.demo.books.record_book import RecordBook
from sdml_kafka.cli.demo.clock import DemoClock
from sdml_kafka.cli.demo.director import Director
from sdml_kafka.cli.demo.display.display import Display
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.frame_source import FrameSource
from sdml_kafka.cli.demo.live_page import HOW_TO_GET_IT, live_page
from sdml_kafka.cli.demo.load.order_sender import OrderSender, sending
from sdml_kafka.cli.demo.load.topics import demo_topics
from sdml_kafka.cli.demo.participants.cashier import Cashier, dead_letters_of
from sdml_kafka.cli.demo.participants.cast import Cast
from sdml_kafka.cli.demo.participants.listener_member import ListenerMember
from sdml_kafka.cli.demo.participants.pricing_client import PricingClient
from sdml_kafka.cli.demo.participants.pricing_server import PricingServer
from sdml_kafka.cli.demo.plan import make_plan
from sdml_kafka.cli.output import drop_stdout
from sdml_kafka.cli.signals import cancel_on_signal
from sdml_kafka.cli.terminal import complain, first_of, require, require_backend, set_up_logging
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.runtime import RuntimeFailure
from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError
from sdml_kafka.transport.client_choice import ClientArguments, ClientChoice
from sdml_kafka.transport.connect import rpc_server_transport
from sdml_kafka.transport.interfaces.transports import Transport

BALANCED, FAILED, CANNOT_RUN, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141
LISTENERS = ("ada", "bob")
SERVERS = ("server 1", "server 2")
SENDERS = ("sender1", "sender2", "sender3")
RATE = 350.0
"""The number of records that each sender sends per second."""
FRAME_S = 0.125


def run_demo(options: DemoOptions) -> int:
    """Run the demo and return the exit code. Raises CannotRun when something is not installed."""
    require("rich", "cli")
    require_backend(options.backend)
    if options.client == "librdkafka":
        require("confluent_kafka", "librdkafka")
    set_up_logging(logging.CRITICAL)  # the display shows what happens
    code = PIPE_CLOSED
    try:
        code = anyio.run(Demo(options, open_display()).run, backend=options.backend)
    except* BrokenPipeError:
        drop_stdout()
    return code


def open_display() -> Display:
    """Return a live picture for a terminal that can show one, plain text for everything else."""
    from rich.console import Console

    console = Console()
    if (
        sys.stdout.isatty()
        and os.environ.get("TERM") != "dumb"
        and console.encoding.lower().startswith("utf")
    ):
        from sdml_kafka.cli.demo.display.live_terminal import LiveTerminalDisplay

        return LiveTerminalDisplay(console)
    from sdml_kafka.cli.demo.display.plain_text import PlainTextDisplay

    return PlainTextDisplay()


class Demo:
    """One run of the demo: from starting the broker to the final report."""

    def __init__(self, options: DemoOptions, display: Display) -> None:
        self._options = options
        self._display = display
        self._plan = make_plan(options.seconds, owns_broker=options.bootstrap is None)
        self._token = secrets.token_hex(4)
        self._record_book = RecordBook()
        self._call_book = CallBook()
        self._bill_book = BillBook()
        self._kafka: EmbeddedKafka | None = None
        self._failure: Exception | None = None
        self._has_begun = False
        is_aiokafka = options.client == "aiokafka"
        self._client_options: dict[str, Any] | None = None if is_aiokafka else {}
        self._client = {"client": options.client, "client_options": self._client_options}
        # Heartbeats bring the news of a rebalance; with the default of 3 s between them, every
        # rebalance of the demo would take that long. With KIP-848 the broker decides.
        self._group_options = {"heartbeat_interval_ms": 300} if is_aiokafka else {}

    async def run(self) -> int:
        """Run the demo and return the exit code."""
        is_over = False
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(cancel_on_signal, tasks.cancel_scope)
                await self._run()
                is_over = True
                tasks.cancel_scope.cancel()
        finally:
            self._display.close()
        if self._failure is not None:
            complain(f"demo: {self._failure}")
        if not self._has_begun:
            return CANNOT_RUN if is_over else INTERRUPTED
        cut_short = not is_over or self._failure is not None
        books = self._record_book, self._call_book, self._bill_book
        report = make_final_report(*books, cut_short=cut_short)
        self._display.report(report)
        if not is_over:
            return INTERRUPTED
        return BALANCED if report.is_good else FAILED

    async def _run(self) -> None:
        try:
            async with self._open_broker() as servers:
                options = {"auto_offset_reset": "earliest", **self._group_options}
                choice = ClientChoice(self._options.client, self._client_options)
                orders, prices, bills = map(self._topic, ("orders", "prices", "bills"))
                group = f"{orders}-group"
                given = ClientArguments(
                    bootstrap_servers=servers,
                    group_id=group,
                    aiokafka_options=options,
                    choice=choice,
                )
                transport = rpc_server_transport(given)
                deletes = self._kafka is None
                topics = orders, prices, bills, dead_letters_of(bills)
                async with demo_topics(transport.producer, *topics, deletes=deletes):
                    await self._perform(servers, transport, *topics[:3])
        except* (EmbeddedKafkaError, SdmlKafkaError, RuntimeFailure) as failures:
            self._failure = first_of(failures)

    @asynccontextmanager
    async def _open_broker(self) -> AsyncGenerator[str]:
        """Yield the address of the Kafka: the user's, or that of a new one."""
        if self._options.bootstrap is not None:
            self._display.starting(f"connecting to {self._options.bootstrap} ...")
            yield self._options.bootstrap
            return
        self._display.starting("starting Apache Kafka ...")
        version = self._options.version
        async with EmbeddedKafka(version=version, progress=self._display.starting) as self._kafka:
            yield self._kafka.bootstrap_servers

    async def _perform(
        self, servers: str, transport: Transport, orders: str, prices: str, bills: str
    ) -> None:
        """Gather the participants, carry out the plan, and let everybody leave."""
        clock = DemoClock()
        log = EventLog(clock, self._display.log)
        async with anyio.create_task_group() as tasks:

            def fail(error: Exception) -> None:
                self._failure = self._failure or error
                tasks.cancel_scope.cancel("a participant failed")

            cast = Cast(
                [
                    ListenerMember(
                        name, transport.consumer, orders, self._record_book, clock, log, fail
                    )
                    for name in LISTENERS
                ],
                [
                    PricingServer(
                        name, servers, prices, log, fail, {**self._client, **self._group_options}
                    )
                    for name in SERVERS
                ],
                PricingClient(
                    "client", servers, prices, self._call_book, clock, log, fail, self._client
                ),
                Cashier(servers, bills, self._bill_book, log, self._client, self._group_options),
            )
            books = self._record_book, self._call_book
            director = Director(self._plan, cast, *books, clock, log, self._kafka, tasks)
            with live_page(self._options.backend, cast.observed) as page:
                place = None if page is None else f"{page.address} · token {page.token}"
                frames = FrameSource(
                    self._title(servers), place, director, cast, *books, clock, log
                )
                tasks.start_soon(self._keep_showing, frames)
                await director.gather()
                if page is None:
                    log.add(f"no live page, which takes {HOW_TO_GET_IT}")
                else:
                    tasks.start_soon(page.serve)
                    log.add(f"live page: {page.address}")
                    use = "type it into the page to see dead letters and send them anew"
                    log.add(f"token {page.token}: {use}")
                await self._play(transport, orders, director, log)
            self._display.show(frames.next_frame())
            tasks.cancel_scope.cancel()

    async def _play(
        self, transport: Transport, orders: str, director: Director, log: EventLog
    ) -> None:
        """Send orders while the plan is carried out, wait for the rest, and let everybody leave."""
        outbox = Outbox()
        senders = [OrderSender(name, outbox, orders, RATE, self._record_book) for name in SENDERS]
        async with sending(transport.producer, outbox, senders, log):
            self._has_begun = True
            await director.play()
        await director.settle()
        await director.dismiss()

    async def _keep_showing(self, frames: FrameSource) -> None:
        while True:
            self._display.show(frames.next_frame())
            await anyio.sleep(FRAME_S)

    def _topic(self, name: str) -> str:
        """Return a topic's name that is free on the Kafka."""
        return name if self._kafka else f"sdml-kafka-demo-{name}-{self._token}"

    def _title(self, servers: str) -> str:
        kafka = "Apache Kafka" if self._kafka is not None else "the Kafka"
        return f"sdml-kafka demo on {self._options.backend} · {kafka} at {servers}"
