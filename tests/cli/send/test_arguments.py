"""What `sdml-kafka send` takes."""

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.main import main
from sdml_kafka.cli.send.arguments import SendOptions


def test_defaults() -> None:
    assert parse_arguments(["send", "orders", "--bootstrap", "a:1"]) == SendOptions(
        topic="orders",
        bootstrap="a:1",
        key=None,
        headers=(),
        reads_json=False,
        progress=False,
        backend="asyncio",
    )


def test_everything() -> None:
    argv = ["send", "orders", "--bootstrap", "a:1", "--key", "k\udcff", "--header", "a=1"]
    argv += ["--header", "b=", "--json", "--progress", "--backend", "trio"]
    headers = (("a", b"1"), ("b", b""))
    assert parse_arguments(argv) == SendOptions(
        "orders", "a:1", b"k\xff", headers, True, True, "trio"
    )


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["send", "a b", "--bootstrap", "a:1"], "cannot be a topic"),
        (["send", "orders"], "--bootstrap"),
        (["send", "orders", "--bootstrap", "a:1", "--header", "a"], "NAME=VALUE"),
        (["send", "orders", "hello", "--bootstrap", "a:1"], "unrecognized"),
    ],
)
def test_what_is_wrong(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert text in capsys.readouterr().err
