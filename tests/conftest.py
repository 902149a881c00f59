"""Every behaviour test runs on asyncio and trio; those marked `uvloop_too` on uvloop as well.

The tests are spread over a few processes (pytest-xdist), each with an `embedded_kafka` of its
own. Tests that share another broker stay together in one process.
"""

import os
import re
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.client_choice import Client
from tests.support import crash_notes
from tests.support.clients import VARIABLE, VARIANTS, chosen
from tests.support.guarded_kafka import guarded_kafka as guarded_kafka_with_users
from tests.support.log_lines import logs_as_before
from tests.support.rebalance_delay import set_rebalance_delay

ASYNCIO = pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")
UVLOOP = pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")
TRIO = pytest.param(("trio", {}), id="trio")

OTHER_LOOP = re.compile(r"\b(asyncio|uvloop)\b")
"""In the name of a test: it runs on another loop than trio."""

MAX_WORKERS = 4


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that has the fixture `client` on each client, on some of them by hand alone."""
    if "client" not in metafunc.fixturenames:
        return
    too = {"aiokafka"}
    if metafunc.definition.get_closest_marker("librdkafka_too") is not None:
        too.add("librdkafka")
    variants = [
        pytest.param(each, marks=() if each in too else pytest.mark.soak) for each in VARIANTS
    ]
    metafunc.parametrize("client", variants, indirect=True)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets what runs in its background ignore Ctrl-C, and so would the programs that tests
    # start and end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends more on the machine, busy with other tests, than on the test.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Each run has the same examples, so that a change fails by what it changes; others are tried by
# hand: `--hypothesis-profile=random`.
settings.register_profile("random", PATIENT)
settings.register_profile("same", PATIENT, derandomize=True)
settings.load_profile("same")

set_rebalance_delay()


@pytest.fixture(params=[ASYNCIO, TRIO, UVLOOP])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client of a test's listeners and producers, also in processes that it starts."""
    monkeypatch.setenv(VARIABLE, request.param)
    return chosen()


@pytest.fixture(scope="session")
def strict_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that creates no topics by itself.

    A test may kill or freeze it, and has to leave it running.
    """
    with EmbeddedKafka(properties={"auto.create.topics.enable": "false"}) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def mortal_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that a test may kill or freeze, and has to leave running."""
    with EmbeddedKafka() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def guarded_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that asks for a user and a password, and lets one of its users do nothing."""
    with guarded_kafka_with_users() as kafka:
        yield kafka


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of processes for `-n auto`, 0 if all tests shall run in this one.

    There is one more than cores, since a test with a broker waits most of its time. A run of named
    folders, files or tests is mostly over before other processes have started.
    """
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return min(MAX_WORKERS, (os.cpu_count() or 1) + 1)


CRASHES = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


@pytest.hookimpl(trylast=True)  # pytest's own hook has stacks written to stderr
def pytest_configure(config: pytest.Config) -> None:
    if (worker := getattr(config, "workerinput", None)) is not None:
        crash_notes.begin_worker(worker["workerid"])
    elif config.getoption("numprocesses", None):
        config.stash[CRASHES] = crash_notes.begin_run()
        config.add_cleanup(config.stash[CRASHES].cleanup)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if (folder := config.stash.get(CRASHES, None)) is not None:
        for process, text in crash_notes.notes(folder.name):
            terminalreporter.section(f"{process} has crashed")
            terminalreporter.write(text)


@pytest.hookimpl(tryfirst=True)  # xdist's own hook reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [
        item
        for item in items
        if "uvloop" not in item.name or item.get_closest_marker("uvloop_too") is not None
    ]
    for item in items:
        if item.get_closest_marker("one_loop") is not None and OTHER_LOOP.search(item.name):
            item.add_marker(pytest.mark.soak)
    # Long tests first, so that no process is left with one at the end.
    items.sort(key=lambda item: -_expected_s(item))
    for item in items:
        if isinstance(item, pytest.Function) and (shared := _shared_fixtures(item)):
            item.add_marker(pytest.mark.xdist_group("-".join(shared)))


def _expected_s(item: pytest.Item) -> float:
    """Return how long a test may take: very long if it says so, else longer with a broker."""
    limit = item.get_closest_marker("timeout")
    with_broker = item.get_closest_marker("broker") is not None
    return (limit.args[0] if limit is not None else 0.0) if with_broker else -1.0


def _shared_fixtures(item: pytest.Function) -> list[str]:
    """Return the fixtures of these tests, not of plugins, that the test shares with others."""
    definitions = item._fixtureinfo.name2fixturedefs.values()  # pytest has no public way to ask
    used = [some[-1] for some in definitions]
    return sorted(each.argname for each in used if each.scope != "function" and each.baseid)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Undo what the command line, run in the process of the tests, does to the logs."""
    with logs_as_before():
        yield
