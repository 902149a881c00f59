"""Use each extra of the built wheel alone in a fresh environment, and each where it is missing.

    uv run python .ci/check_extras.py DIST [PYTHON ...]

Without a Python only the bare package is installed, once: what needs an extra has to name it. With
them each extra is installed and used in an environment of its own, for each Python.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
AT_ONCE = 3

COMMON = """
import anyio
from sdml_kafka import KafkaListener, parse_json
from sdml_kafka.testing import MemoryBroker

SPEC = {"topics": ["orders"], "type": dict, "parser": parse_json}
WHERE = {"bootstrap_servers": "127.0.0.1:1", "group_id": "billing"}

async def read():
    broker = MemoryBroker({"orders": 1})
    listener = KafkaListener([SPEC], transport=broker.connect("billing"))
    async with listener:
        stream = await listener.subscribe(dict)
        broker.produce("orders", b'{"item": "figs"}')
        assert await anext(stream) == {"item": "figs"}

def record(value):
    return MemoryBroker({"orders": 1}).produce("orders", value)
"""

USES = {
    "": "anyio.run(read)",
    "trio": "anyio.run(read, backend='trio')",
    "trio-asyncio": """
import trio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import trio_asyncio

async def main():
    async with trio_asyncio.open_loop():
        await read()

trio.run(main)
""",
    "uvloop": "anyio.run(read, backend_options={'use_uvloop': True})",
    "librdkafka": "KafkaListener([SPEC], **WHERE, client='librdkafka')",
    "embedded": """
from sdml_kafka.testing import EmbeddedKafka
with EmbeddedKafka() as kafka:
    assert kafka.bootstrap_servers
""",
    "cli": """
from sdml_kafka.cli.terminal import require
for module in "rich", "hypercorn", "starlette":
    require(module, "cli")
from sdml_kafka.cli.demo.command import open_display
open_display()
""",
    "typecheck": """
from sdml_kafka.parsing.type_checks import compile_check
compile_check(list[int], print)([1])
""",
    "msgspec": "from sdml_kafka import parse_msgspec; assert parse_msgspec(int)(record(b'1')) == 1",
    "pydantic": """
from sdml_kafka import parse_pydantic
assert parse_pydantic(int)(record(b'1')) == 1
""",
    "otel": """
from sdml_kafka.observability.opentelemetry import OpenTelemetry
KafkaListener([SPEC], **WHERE, hooks=[OpenTelemetry()])
""",
    "prometheus": """
from sdml_kafka.observability.prometheus import Prometheus
KafkaListener([SPEC], **WHERE, hooks=[Prometheus()])
""",
    "page": """
from sdml_kafka import observability
observability.app(KafkaListener([SPEC], **WHERE))
""",
    "registry": """
from sdml_kafka import SchemaRegistry

async def write():
    registry = SchemaRegistry("mock://")
    await registry.serializer("orders-value", '"string"', register=True).prepare()

anyio.run(write)
""",
    "asyncapi": """
from sdml_kafka.cli.terminal import require
require("yaml", "asyncapi")
from sdml_kafka import asyncapi
asyncapi.document(KafkaListener([SPEC], **WHERE), title="Shop")
""",
}

USE_ALL = """
import json, sys
said = {}
for extra, code in json.loads(sys.argv[1]).items():
    try:
        exec(code, {"__name__": "use"})
        said[extra] = "nothing"
    except Exception as error:
        said[extra] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""

SAYS_NOTHING = {"trio", "trio-asyncio", "uvloop", "embedded"}
"""The event loops are anyio's affair; a Java and a Kafka may be on the machine already."""


def run(command: Sequence[object]) -> "subprocess.CompletedProcess[str]":
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def environment(folder: Path, python: str, wheel: Path, extra: str) -> Path:
    """Install the wheel with an extra, and return the Python that has it."""
    at = f"sdml-kafka-client[{extra}] @ {wheel.resolve().as_uri()}".replace("[]", "")
    for command in (
        ["uv", "venv", "--quiet", "--python", python, folder],
        ["uv", "pip", "install", "--quiet", "--python", folder, at],
    ):
        done = run(command)
        if done.returncode:
            raise SystemExit(f"{command}: {done.stderr}")
    return folder / "bin" / "python"


def use(python: Path, extra: str) -> "subprocess.CompletedProcess[str]":
    """Use an extra in a process of its own, with warnings as errors."""
    return run([python, "-W", "error", "-c", COMMON + USES[extra]])


def problem_alone(folder: Path, wheel: Path, python: str, extra: str) -> str | None:
    """Return what is wrong with an extra that is installed alone, None if nothing is."""
    done = use(environment(folder, python, wheel, extra), extra)
    return f"{extra or 'no extra'}, {python}: {done.stderr}" if done.returncode else None


def problems_without(folder: Path, wheel: Path) -> list[str]:
    """Return what is wrong where no extra is installed."""
    python = environment(folder, sys.executable, wheel, "")
    uses = {extra: COMMON + code for extra, code in USES.items() if extra not in SAYS_NOTHING}
    done = run([python, "-W", "error", "-c", USE_ALL, json.dumps(uses)])
    if done.returncode:
        return [f"without extras: {done.stderr}"]
    said = json.loads(done.stdout)
    wanted = {extra: f"sdml-kafka-client[{extra}]" if extra else "nothing" for extra in uses}
    return [
        f"what says that {extra or 'no extra'} is missing: {said[extra]}"
        for extra in uses
        if wanted[extra] not in said[extra]
    ]


def main(dist: Path, pythons: Sequence[str]) -> None:
    [wheel] = dist.glob("*.whl")
    extras = {"", *PROJECT["optional-dependencies"]}
    if extras != USES.keys():
        raise SystemExit(f"USES has to have the extras of pyproject.toml: {extras ^ USES.keys()}")
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(AT_ONCE) as pool:
        bare = pool.submit(problems_without, Path(scratch, "bare"), wheel)
        alone = [
            pool.submit(problem_alone, Path(scratch, str(number)), wheel, python, extra)
            for number, (python, extra) in enumerate(product(pythons, USES))
        ]
        problems = [*bare.result(), *filter(None, (each.result() for each in alone))]
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"{len(USES) - 1} extras, each missing; each alone on {len(pythons)} Pythons")


main(Path(sys.argv[1]), sys.argv[2:])
