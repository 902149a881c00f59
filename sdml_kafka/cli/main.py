"""The entry point of `sdml-kafka`: runs one command and returns its exit code."""

from collections.abc import Sequence

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
    # The commands are imported one by one, because each needs other extras and `--help` needs none.
    match options:
        case ListenOptions():
            from sdml_kafka.cli.listen.command import run_listen

            return run_listen(options)
        case DeadLettersOptions():
            from sdml_kafka.cli.dead_letters.command import run_dead_letters

            return run_dead_letters(options)
        case DoctorOptions():
            from sdml_kafka.cli.doctor.command import run_doctor

            return run_doctor(options)
        case RequestOptions():
            from sdml_kafka.cli.request.command import run_request

            return run_request(options)
        case SendOptions():
            from sdml_kafka.cli.send.command import run_send

            return run_send(options)
        case ServeOptions():
            from sdml_kafka.cli.serve.command import run_serve

            return run_serve(options)
        case TopOptions():
            from sdml_kafka.cli.top.command import run_top

            return run_top(options)
        case DemoOptions():
            from sdml_kafka.cli.demo.command import run_demo

            return run_demo(options)
        case AsyncApiOptions():
            from sdml_kafka.cli.asyncapi.command import run_asyncapi

            return run_asyncapi(options)
        case BrokerOptions():
            from sdml_kafka.cli.broker.command import run_broker

            return run_broker(options.nodes, options.port, options.version)
