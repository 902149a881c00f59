"""Examines a Kafka, and writes down what is wrong."""

import logging
import signal
import sys
from contextlib import AbstractAsyncContextManager

import anyio

from sdml_kafka import SdmlKafkaError
from sdml_kafka.cli.doctor.arguments import DoctorOptions
from sdml_kafka.cli.doctor.examination import Examination, Plan
from sdml_kafka.cli.doctor.facts import Facts, Ours
from sdml_kafka.cli.doctor.report import as_json, as_text, exit_code
from sdml_kafka.cli.doctor.rules.all_rules import findings_of
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.signals import on_signal
from sdml_kafka.cli.terminal import CannotRun, require_backend, set_up_logging
from sdml_kafka.transport.connect import effective_options, inspector
from sdml_kafka.transport.interfaces.inspection import Address, Inspector

CLIENT_ID = "sdml-kafka-doctor"


def run_doctor(options: DoctorOptions) -> int:
    """Examine, write, and return the exit code."""
    require_backend(options.backend)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write")
    set_up_logging(logging.CRITICAL)  # what goes wrong is a finding
    try:
        opening = inspector({"client_id": CLIENT_ID, **options.config.for_both})
    except SdmlKafkaError as error:
        raise CannotRun(f"doctor: {error}") from None
    return anyio.run(_run, options, opening, backend=options.backend)


async def _run(options: DoctorOptions, opening: AbstractAsyncContextManager[Inspector]) -> int:
    ended_by = list[signal.Signals]()
    facts: Facts | None = None
    async with anyio.create_task_group() as tasks:

        def leave(number: signal.Signals) -> None:
            ended_by.append(number)
            tasks.cancel_scope.cancel("a signal")

        await tasks.start(on_signal, leave)
        facts = await _examine(options, opening)
        tasks.cancel_scope.cancel()
    if facts is None:
        return 128 + ended_by[0]
    findings = findings_of(facts)
    text = as_json(facts, findings) if options.writes_json else as_text(facts, findings)
    try:
        await Output(sys.stdout.fileno()).write(text)
    except BrokenPipeError:
        pass  # nobody reads it any more; the exit code says the worst
    except OSError as error:
        raise CannotRun(f"doctor: the report cannot be written: {error}") from None
    return exit_code(findings)


async def _examine(
    options: DoctorOptions, opening: AbstractAsyncContextManager[Inspector]
) -> Facts:
    addresses = addresses_of(options.bootstrap)
    plan = Plan(addresses, options.topics, options.group, options.timeout_s, options.watch_s)
    config = options.config
    ours = Ours(*effective_options(config.for_consumer, config.for_producer))
    async with opening as found:
        return await Examination(found, plan, ours).run()


def addresses_of(bootstrap: str) -> tuple[Address, ...]:
    """Return the hosts and the ports; those of IPv6 stand in brackets."""
    pairs = [each.strip().rpartition(":") for each in bootstrap.split(",")]
    return tuple(dict.fromkeys((host.strip("[]"), int(port)) for host, _, port in pairs))
