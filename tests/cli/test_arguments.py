"""What can be typed, and what is said about wrong arguments."""

from importlib.metadata import version

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.broker.arguments import BrokerOptions
from sdml_kafka.cli.demo.arguments import DemoOptions
from sdml_kafka.cli.listen.arguments import ListenOptions
from sdml_kafka.cli.main import main
from sdml_kafka.cli.options import BOOTSTRAP
from sdml_kafka.cli.request.arguments import RequestOptions
from sdml_kafka.cli.serve.arguments import ServeOptions

LISTEN = ["listen", "orders", "--bootstrap", "a:9092", "--group", "g"]
REQUEST = ["request", "orders", "hello", "--bootstrap", "a:9092"]
SERVE = ["serve", "orders", "--bootstrap", "a:9092", "--group", "g"]


def test_listen_defaults() -> None:
    assert parse_arguments(LISTEN) == ListenOptions(
        topics=("orders",),
        bootstrap="a:9092",
        group="g",
        start="earliest",
        maximum=None,
        progress=False,
        backend="asyncio",
    )


def test_listen_with_everything() -> None:
    argv = ["listen", "a", "b.c", "--bootstrap", "a:1,[::1]:2", "--group", "g", "--from", "latest"]
    argv += ["--max", "10", "--progress", "--backend", "trio"]
    assert parse_arguments(argv) == ListenOptions(
        ("a", "b.c"), "a:1,[::1]:2", "g", "latest", 10, True, "trio"
    )


def test_listen_without_a_group() -> None:
    argv = ["listen", "a", "--bootstrap", "a:1", "--offset", "7", "--partition", "3"]
    options = parse_arguments([*argv, "--partition", "0", "--exit-at-end"])
    assert isinstance(options, ListenOptions)
    assert options.group is None
    assert (options.offset, options.partitions) == (7, frozenset({0, 3}))
    assert options.exits_at_end
    options = parse_arguments(["listen", "a", "--bootstrap", "a:1", "--partition", "3"])
    assert isinstance(options, ListenOptions)
    assert options.offset == "earliest"


def test_demo_and_broker() -> None:
    assert parse_arguments(["demo"]) == DemoOptions(None, 20.0, "asyncio")
    argv = ["demo", "--bootstrap", "a:1", "--seconds", "8.5", "--backend", "trio"]
    assert parse_arguments(argv) == DemoOptions("a:1", 8.5, "trio")
    options = parse_arguments([*argv, "--client", "librdkafka"])
    assert options == DemoOptions("a:1", 8.5, "trio", client="librdkafka")
    assert parse_arguments(["broker"]) == BrokerOptions(1, 9092)
    assert parse_arguments(["broker", "--nodes", "3", "--port", "1"]) == BrokerOptions(3, 1)


def test_the_version_of_a_kafka_that_a_command_starts(capsys: pytest.CaptureFixture[str]) -> None:
    older = ["--kafka-version", "4.1.0"]
    assert parse_arguments(["broker", *older]) == BrokerOptions(1, 9092, "4.1.0")
    assert parse_arguments(["demo", *older]) == DemoOptions(None, 20.0, "asyncio", "4.1.0")
    for wrong, why in (
        (["broker", "--kafka-version", "3.9.0"], "'3.9.0' cannot be had here: give 4.1.0 or"),
        (["demo", *older, "--bootstrap", "a:1"], "leave --bootstrap out"),
    ):
        with pytest.raises(SystemExit):
            parse_arguments(wrong)
        assert why in capsys.readouterr().err


def test_request_defaults() -> None:
    assert parse_arguments(REQUEST) == RequestOptions(
        topic="orders",
        value=b"hello",
        bootstrap="a:9092",
        key=None,
        headers=(),
        timeout_s=30.0,
        server_group=None,
        reply_topic=None,
        streams=False,
        backend="asyncio",
    )


def test_request_with_everything() -> None:
    argv = ["request", "orders", "-", "--bootstrap", "a:1", "--key", "k\udcff"]
    argv += ["--header", "a=1", "--header", "b=x=\udcfe", "--timeout", "0.5", "--server-group", "g"]
    argv += ["--reply-topic", "r", "--stream", "--backend", "trio"]
    headers = (("a", b"1"), ("b", b"x=\xfe"))
    assert parse_arguments(argv) == RequestOptions(
        "orders", None, "a:1", b"k\xff", headers, 0.5, "g", "r", True, "trio"
    )


def test_a_request_that_looks_like_an_option() -> None:
    options = parse_arguments(["request", "--bootstrap", "a:1", "--", "orders", "--value"])
    assert isinstance(options, RequestOptions)
    assert options.value == b"--value"


def test_serve() -> None:
    assert parse_arguments([*SERVE, "--", "cat"]) == ServeOptions(
        topic="orders",
        bootstrap="a:9092",
        group="g",
        concurrency=10,
        timeout_s=60.0,
        maximum=None,
        backend="asyncio",
        command=("cat",),
    )
    argv = [*SERVE, "--concurrency", "3", "--timeout", "5", "--max", "7", "--backend", "trio"]
    argv += ["--", "prog", "--group", "other", "--", "-x"]
    assert parse_arguments(argv) == ServeOptions(
        "orders", "a:9092", "g", 3, 5.0, 7, "trio", ("prog", "--group", "other", "--", "-x")
    )


@pytest.mark.parametrize(
    "argv", [[*SERVE, "tr", "-d", "x"], [*SERVE[:2], "tr", "-d", "x", *SERVE[2:]]]
)
def test_a_program_without_two_hyphens_before_it_shows_where_it_goes(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    right = f"  sdml-kafka {' '.join(SERVE)} -- tr -d x\n"
    assert capsys.readouterr().err.endswith(right)


def test_a_misspelt_option_of_serve_is_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*SERVE, "--concurency", "3", "--", "cat"])
    shown = capsys.readouterr().err
    assert "unrecognized arguments: --concurency 3\n" in shown
    assert "behind" not in shown


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "COMMAND"),
        (REQUEST[:3], "--bootstrap"),
        ([*REQUEST, "--header", "a"], "NAME=VALUE"),
        ([*REQUEST, "--header", "=a"], "NAME=VALUE"),
        ([*REQUEST, "--timeout", "0"], "at least 0.1"),
        ([*REQUEST, "--timeout", "inf"], "at least 0.1"),
        ([*REQUEST, "--reply-topic", "a b"], "cannot be a topic"),
        (SERVE, "-- CMD"),
        ([*SERVE, "--"], "-- CMD"),
        ([*SERVE, "cat"], "unrecognized"),
        ([*SERVE[:4], "--", "cat"], "--group"),
        ([*SERVE, "--concurrency", "0", "--", "cat"], "1 or more"),
        (["listen", "orders", "--group", "g"], "--bootstrap"),
        (["listen", "orders", "--bootstrap", "a:1"], "--group"),
        (["listen", "a b", *LISTEN[2:]], "cannot be a topic"),
        (["listen", "..", *LISTEN[2:]], "cannot be a topic"),
        ([*LISTEN, "--max", "0"], "1 or more"),
        ([*LISTEN, "--offset", "earliest"], "--offset does not go with --group"),
        ([*LISTEN, "--partition", "0"], "--partition does not go with --group"),
        ([*LISTEN[:4], "--offset", "7"], "--offset 7 needs --partition"),
        ([*LISTEN[:4], "--offset", "x", "--partition", "0"], "'x' is not earliest, latest or"),
        ([*LISTEN[:4], "--partition", "-1"], "0 or more"),
        ([*LISTEN[:4], "--offset", "latest", "--from", "latest"], "--from does not go with"),
        ([*LISTEN, "--group", " "], "needs a name"),
        ([*LISTEN, "--group", "\udcff"], "a group's name is UTF-8"),
        ([*LISTEN, "--group", "g" * 32_001], "of 32,000 bytes at most"),
        ([*LISTEN, "--bootstrap", "kafka"], "HOST:PORT"),
        ([*LISTEN, "--bootstrap", "a:1,b:99999"], "'b:99999'"),
        (["demo", "--seconds", "7"], "at least 8"),
        (["demo", "--seconds", "nan"], "at least 8"),
        (["demo", "--seconds", "soon"], "not a number"),
        (["demo", "--backend", "gevent"], "gevent"),
        (["broker", "--port", "65536"], "not a port"),
    ],
)
def test_what_is_wrong_is_said_with_exit_code_2(
    argv: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert text in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"sdml-kafka {version('sdml-kafka-client')}\n"


@pytest.mark.parametrize(
    "command", ["demo", "listen", "send", "request", "serve", "broker", "dead-letters"]
)
def test_help_has_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert f"sdml-kafka {command}" in shown
    assert "exit codes:" in shown


def test_an_unknown_argument_shows_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse_arguments([*LISTEN, "--grop", "g"])
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: sdml-kafka listen ")
    assert shown.endswith("sdml-kafka listen: error: unrecognized arguments: --grop g\n")


LONG = "9" * 5000
"""More digits than Python reads."""


@pytest.mark.parametrize(
    "argv",
    [
        ["dead-letters", "t", "show", "0", LONG, "--bootstrap", "a:1"],
        ["listen", "t", "--offset", LONG, "--partition", "0", "--bootstrap", "a:1"],
        ["listen", "t", "--offset", "earliest", "--bootstrap", f"a:{LONG}"],
        [*LISTEN, "--max", LONG],
        [*LISTEN, "-o", f"request_timeout_ms={LONG}"],
        ["listen", "t", "--offset", "earliest"],
        ["broker", "--port", LONG],
    ],
)
def test_numbers_that_are_too_long(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(BOOTSTRAP, f"a:{LONG}")
    with pytest.raises(SystemExit) as exit_:
        parse_arguments(argv)
    assert exit_.value.code == 2
    assert capsys.readouterr().err
