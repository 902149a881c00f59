"""Notes of what a process of the tests was doing when it crashed, for the end of the output.

The process itself could write it to stderr alone, far above the list of what has failed.
"""

import faulthandler
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "SDML_KAFKA_CRASH_NOTES"
"""The environment variable that names the folder of the notes to the processes."""


def begin_worker(name: str) -> None:
    """Have each thread's place written to a file if this process crashes."""
    if folder := os.environ.get(VARIABLE):
        notes = Path(folder, f"{name}-{os.getpid()}").open("w")  # noqa: SIM115  (until the end)
        faulthandler.enable(notes)


def begin_run() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of the notes, for processes that start from now on."""
    folder = tempfile.TemporaryDirectory(prefix="sdml-kafka-crashes-")
    os.environ[VARIABLE] = folder.name
    return folder


def notes(folder: str) -> Iterator[tuple[str, str]]:
    """Yield each process that has crashed, and what it has noted."""
    for path in sorted(Path(folder).iterdir()):
        if text := path.read_text(errors="replace"):
            yield path.name, text
