"""What every subcommand says on stderr, and that nothing raw from the wire gets there."""

import logging
import sys
from importlib.util import find_spec
from typing import Literal

Backend = Literal["asyncio", "trio"]

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


class CannotRun(Exception):
    """A subcommand cannot run as it was called, or here; the text says what to do."""


def one_line(text: object) -> str:
    """Printable: line ends and other control characters are escaped."""
    return str(text).replace("\n", " ").translate(_ESCAPES)


def printable(data: bytes) -> str:
    """UTF-8 as it is, but for what acts on a terminal: lines and tabs stay, all else of that kind
    is escaped, as are bytes that are no UTF-8."""
    text = data.decode("utf-8", "backslashreplace")
    return text.translate({code: to for code, to in _ESCAPES.items() if code not in (0x09, 0x0A)})


def say(text: object) -> None:
    print(one_line(text), file=sys.stderr, flush=True)


def complain(text: object) -> None:
    say(f"sdml-kafka: {text}")


def first_of(errors: BaseExceptionGroup[Exception]) -> Exception:
    """The error itself, out of what task groups wrap it in."""
    error = errors.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def require(module: str, extra: str) -> None:
    """Raise CannotRun unless the module of one of the package's extras is installed."""
    if find_spec(module) is None:
        raise CannotRun(
            f'this needs {module}, which is not installed: pip install "sdml-kafka-client[{extra}]"'
        )


def require_backend(backend: Backend) -> None:
    if backend == "trio":
        require("trio", "trio")


class _OneLine(logging.Formatter):
    """Tracebacks are for programs that are being debugged."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(f"{record.levelname.lower()}: {record.getMessage()}")


def set_up_logging(level: int = logging.WARNING) -> None:
    """Our own warnings on stderr, a line each. aiokafka's are about what ours say, or less."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    ours = logging.getLogger("sdml_kafka")
    ours.handlers, ours.propagate = [handler], False
    ours.setLevel(level)
    theirs = logging.getLogger("aiokafka")
    theirs.handlers, theirs.propagate = [logging.NullHandler()], False
