"""Builds the services into a cache outside of the repository, once for all that use the sources."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sdml_kafka.testing.embedded.jars import default_cache

SERVICES = Path(__file__).parents[1] / "services"
TOOLS = {"spring": ("mvn",), "nest": ("npm", "node")}
"""The programs that each service needs."""
COMMANDS: dict[str, Sequence[Sequence[str]]] = {
    "spring": (("mvn", "-q", "-B", "-DskipTests", "package"),),
    "nest": (
        ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"),
        ("npm", "run", "--silent", "build"),
    ),
}
BUILD_TIMEOUT_S = 600.0
MAX_SHOWN = 4_000
"""Characters of a failed build's output that are shown."""


class CannotBuild(Exception):
    """A service could not be built; the text says why, and what to do."""


def missing_tools(service: str) -> list[str]:
    """Return the programs that are not there."""
    return [tool for tool in TOOLS[service] if shutil.which(tool) is None]


def built(service: str) -> Path:
    """Return the folder of a service that is built from the sources as they are now.

    Raises:
        CannotBuild: A program is missing, or a step of the build failed.
    """
    if missing := missing_tools(service):
        raise CannotBuild(
            f"the {service} service needs {' and '.join(missing)}: install them, or leave the mark "
            "`interop` out"
        )
    cache = default_cache() / "interop"
    home = cache / f"{service}-{digest_of(SERVICES / service)}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            staging = home.with_name(f"{home.name}.part")
            shutil.rmtree(staging, ignore_errors=True)
            shutil.copytree(SERVICES / service, staging)
            for command in COMMANDS[service]:
                _run(command, staging)
            staging.rename(home)
    return home


def digest_of(folder: Path) -> str:
    """Return a hash of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _run(command: Sequence[str], folder: Path) -> None:
    # What speeds up the tests' own Kafka is of no use to Maven.
    environment = {name: each for name, each in os.environ.items() if name != "JDK_JAVA_OPTIONS"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(command)} failed:\n{done.stdout[-MAX_SHOWN:]}")
