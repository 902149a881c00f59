"""Messages on stderr, with control characters escaped: nothing from the wire acts on a terminal."""

import logging
import sys
from importlib.util import find_spec
from typing import Literal

from sdml_kafka.printable import one_line

Backend = Literal["asyncio", "trio"]


class CannotRun(Exception):
    """A command cannot run with these arguments, or on this machine; the text says what to do."""


def say(text: object) -> None:
    """Write one line to stderr."""
    print(one_line(text), file=sys.stderr, flush=True)


def complain(text: object) -> None:
    """Write one line to stderr that names the program, for what went wrong."""
    say(f"sdml-kafka: {text}")


def first_of(errors: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first error itself, out of the groups that task groups wrap around it."""
    error = errors.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def require(module: str, extra: str) -> None:
    """Raise CannotRun unless `module`, which comes with the extra `extra`, is installed."""
    if find_spec(module) is None:
        raise CannotRun(
            f'this needs {module}, which is not installed: pip install "sdml-kafka-client[{extra}]"'
        )


def require_backend(backend: Backend) -> None:
    """Raise CannotRun unless the backend's event loop is installed."""
    if backend == "trio":
        require("trio", "trio")


class _OneLine(logging.Formatter):
    """Writes a log record as one line, without its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(f"{record.levelname.lower()}: {record.getMessage()}")


def set_up_logging(level: int = logging.WARNING) -> None:
    """Write the package's own log records from `level` on to stderr, one line each.

    The log records of aiokafka are dropped: the package's own say the same, and more.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    ours = logging.getLogger("sdml_kafka")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(level)
    theirs = logging.getLogger("aiokafka")
    theirs.handlers, theirs.propagate = [logging.NullHandler()], False
