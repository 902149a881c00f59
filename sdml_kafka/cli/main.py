"""The entry point of `sdml-kafka`: runs one command and returns its exit code."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from sdml_kafka.cli.arguments import Options, parse_arguments
from sdml_kafka.cli.asyncapi.arguments import AsyncApiOptions
from sdml_kafka.cli.broker.arguments import BrokerOptions
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.demo.arguments import DemoOptions
from sdml_kafka.cli.doctor.arguments import DoctorOptions
from sdml_kafka.cli.listen.arguments import ListenOptions
from sdml_kafka.cli.request.arguments import RequestOptions
from sdml_kafka.cli.send.arguments import SendOptions
from sdml_kafka.cli.serve.arguments import ServeOptions
from sdml_kafka.cli.terminal import CannotRun, complain
from sdml_kafka.cli.top.arguments import TopOptions

CANNOT_RUN = 2
INTERRUPTED = 130

_FOLDERS: Mapping[type[Options], str] = {
    AsyncApiOptions: "asyncapi",
    BrokerOptions: "broker",
    DeadLettersOptions: "dead_letters",
    DemoOptions: "demo",
    DoctorOptions: "doctor",
    ListenOptions: "listen",
    RequestOptions: "request",
    SendOptions: "send",
    ServeOptions: "serve",
    TopOptions: "top",
}
"""The folder of each command, in whose `command.py` the function `run_<folder>` runs it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parse_arguments(argv)
    try:
        return _run(options)
    except CannotRun as error:
        complain(str(error))
        return CANNOT_RUN
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(options: Options) -> int:
    # Commands are imported one by one, because each needs other extras and `--help` needs none.
    name = _FOLDERS[type(options)]
    command = import_module(f"sdml_kafka.cli.{name}.command")
    run: Callable[[Options], int] = getattr(command, f"run_{name}")
    return run(options)
