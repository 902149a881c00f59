"""Shows where the microseconds of a record or of a call go, in this package and in aiokafka."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import calls, reading
from benchmarks.contest import Children, Note
from benchmarks.meter import ReadingSample
from benchmarks.sampling import LIGHT, NATIVE, read_stacks, sampling
from benchmarks.where import Profile, Shares
from sdml_kafka.testing import EmbeddedKafka

SAMPLED_TURN_S = 4.0
"""Seconds of calls in which a process is sampled."""


def sampled(pid: int, how: Sequence[str], shares: Shares, body: Callable[[], object]) -> None:
    """Sample a process while the body runs, and add where it was."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "stacks"
        with sampling(pid, how, output):
            body()
        with output.open() as lines:
            stacks = read_stacks(lines)
    if how is LIGHT:
        shares.add_light(stacks)
    else:
        shares.add_native(stacks)


def profile_reading(
    rounds: int, names: Sequence[str], case: reading.Case, note: Note, beside: Path | None
) -> list[Profile]:
    """Sample the contestants of `reading`, each in several runs."""
    children = Children("benchmarks.reading", beside)
    profiles: list[Profile] = []
    with EmbeddedKafka() as kafka:
        bootstrap = kafka.bootstrap_servers
        asyncio.run(reading.fill(bootstrap, case))

        def read(name: str, how: Sequence[str] = (), shares: Shares | None = None) -> ReadingSample:
            group, meter = f"profile-{time.time_ns()}", "sampled" if how else "alone"
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            command = children.command(name, bootstrap, group, case, meter)
            with subprocess.Popen(**command, **pipes) as child:
                if shares is not None:
                    calls.hear(child)
                    sampled(child.pid, how, shares, lambda: calls.ask(child, ""))
                output, _ = child.communicate("\n")
            return ReadingSample(**json.loads(output))

        for name in names:
            shares, alone = Shares(), list[ReadingSample]()
            for round_ in range(rounds):
                alone.append(read(name))
                for how in (LIGHT, NATIVE):
                    read(name, how, shares)
                note(f"{case}: {name}, round {round_ + 1} of {rounds}")
            profiles.append(Profile(name, median(sample.cpu_us for sample in alone), shares))
    return profiles


def profile_calls(
    rounds: int, names: Sequence[str], case: calls.Case, note: Note, beside: Path | None
) -> list[Profile]:
    """Sample the client and the server of each contestant of `calls`, one after the other."""
    children = Children("benchmarks.calls", beside)
    profiles: list[Profile] = []
    with EmbeddedKafka() as kafka:
        for number, name in enumerate(names):
            where = kafka.bootstrap_servers, f"profile-{number}"
            asyncio.run(calls.create(*where))
            client, server, alone = Shares(), Shares(), list[calls.Sample]()
            with calls.running(children, name, *where, case) as pair:
                pair.turn(calls.WARM_UP_S)
                for round_ in range(rounds):
                    alone.append(pair.turn(calls.TURN_S))
                    for pid, shares in ((pair.client_pid, client), (pair.server_pid, server)):
                        for how in (LIGHT, NATIVE):
                            sampled(pid, how, shares, lambda: pair.turn(SAMPLED_TURN_S))
                    note(f"{case}: {name}, round {round_ + 1} of {rounds}")
            client_us = median(sample.client_us for sample in alone)
            server_us = median(sample.server_us for sample in alone)
            profiles.append(Profile(f"{name}: client", client_us, client))
            profiles.append(Profile(f"{name}: server", server_us, server))
    return profiles
