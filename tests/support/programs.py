"""Runs a program as `serve` does."""

import os

import anyio

from sdml_kafka.cli.serve.guard_process import GuardProcess
from sdml_kafka.cli.serve.programs import Program, ProgramResult
from tests.support.processes import PATIENCE_S


async def run_program(guard: GuardProcess, *command: str, value: bytes = b"") -> ProgramResult:
    """Run a command once, with `value` as its stdin, and return its result."""
    with anyio.fail_after(PATIENCE_S):
        return await Program(command, guard).run(value, dict(os.environ))
