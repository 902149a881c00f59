"""Writes the AsyncAPI document of a program."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from sdml_kafka.asyncapi import document
from sdml_kafka.cli.asyncapi.arguments import AsyncApiOptions
from sdml_kafka.cli.asyncapi.programs import objects_of
from sdml_kafka.cli.output import write_out
from sdml_kafka.cli.terminal import CannotRun, require
from sdml_kafka.errors import ConfigurationError


def run_asyncapi(options: AsyncApiOptions) -> int:
    """Write the document, and return the exit code."""
    if options.output is None and sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write")
    if options.writes_yaml:
        require("yaml", "asyncapi")
    title = options.title or options.program.partition(":")[0]
    texts = {"title": title, "version": options.version, "description": options.description}
    try:
        described = document(*objects_of(options.program), **texts)
    except ConfigurationError as error:
        raise CannotRun(f"asyncapi: {error}") from None
    text = _yaml(described) if options.writes_yaml else json.dumps(described, indent=2) + "\n"
    if options.output is None:
        write_out(text.encode())
        return 0
    try:
        Path(options.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"asyncapi: {options.output} cannot be written: {error}") from None
    return 0


def _yaml(described: dict[str, Any]) -> str:
    yaml: Any = import_module("yaml")  # which comes with an extra
    text: str = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    return text
