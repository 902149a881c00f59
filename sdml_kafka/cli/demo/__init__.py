"""`sdml-kafka demo`: records through supervised actors on a real Kafka, while things go wrong."""

from sdml_kafka.cli.arguments import DemoOptions
from sdml_kafka.cli.terminal import require, require_backend


def run_demo(options: DemoOptions) -> int:
    """Run it; returns the exit code. Raises CannotRun when something is not installed."""
    require("rich", "cli")
    require_backend(options.backend)
    from sdml_kafka.cli.demo.run import run

    return run(options)
