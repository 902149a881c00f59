"""The command line: `sdml-kafka demo`, `listen` and `broker`."""

from collections.abc import Sequence

from sdml_kafka.cli._arguments import DemoOptions, ListenOptions, parse_arguments
from sdml_kafka.cli._terminal import CannotRun, complain

CANNOT_RUN = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns its exit code."""
    options = parse_arguments(argv)
    # Imported one by one: each needs other extras, and `listen | head` should start fast.
    try:
        if isinstance(options, ListenOptions):
            from sdml_kafka.cli.listen import run_listen

            return run_listen(options)
        if isinstance(options, DemoOptions):
            from sdml_kafka.cli.demo import run_demo

            return run_demo(options)
        from sdml_kafka.cli.broker import run_broker

        return run_broker(options.nodes, options.port)
    except CannotRun as error:
        complain(str(error))
        return CANNOT_RUN
    except KeyboardInterrupt:
        return INTERRUPTED
