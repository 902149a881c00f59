"""`--client`, and options of the client that are typed with `-o`; no text shows a value."""

import argparse
from pathlib import Path

import pytest

from sdml_kafka.cli.arguments import parse_arguments
from sdml_kafka.cli.config_file import read_config
from sdml_kafka.cli.listen.arguments import ListenOptions
from sdml_kafka.cli.main import main
from sdml_kafka.client_config import ClientConfig

SECRET = "hunter2-is-secret"
LISTEN = ["listen", "orders", "--bootstrap", "a:9092", "--group", "g"]


def written(folder: Path, text: str) -> str:
    path = folder / "client.toml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def listen(*words: str) -> ListenOptions:
    options = parse_arguments([*LISTEN, *words])
    assert isinstance(options, ListenOptions)
    return options


def test_nothing_that_is_typed_is_the_default() -> None:
    assert listen().config == ClientConfig()
    assert listen("--client", "aiokafka").config == ClientConfig()


def test_options_of_aiokafka_that_are_typed() -> None:
    words = (
        "-o",
        "request_timeout_ms=5000",
        "-o",
        "enable_auto_commit=false",
        "-o",
        "client_id=7",
        "-o",
        "security_protocol=SASL_PLAINTEXT",
    )
    config = listen(*words, "-o", "sasl_plain_username=8", "-o", "rebalance_timeout_ms=9").config
    options = config.consumer_options("sdml-kafka-listen")
    assert options == {
        "request_timeout_ms": 5000,
        "enable_auto_commit": False,
        "client_id": "7",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_plain_username": "8",
        "rebalance_timeout_ms": 9,
    }


def test_what_is_typed_counts_more_than_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "request_timeout_ms = 5000\nfetch_min_bytes = 2")
    config = read_config(path, [("request_timeout_ms", "6000")])
    assert config.for_consumer == {"request_timeout_ms": 6000, "fetch_min_bytes": 2}


def test_where_a_group_begins_may_be_an_option_of_either_client() -> None:
    of_aiokafka = listen("-o", "auto_offset_reset=latest")
    of_librdkafka = listen("--client", "librdkafka", "-o", "auto.offset.reset=latest")
    assert [each.start for each in (of_aiokafka, of_librdkafka)] == ["latest", "latest"]
    arguments = of_librdkafka.config.consumer_options("me", "earliest")
    assert arguments["client_options"]["auto.offset.reset"] == "earliest"


def test_options_of_librdkafka_go_to_the_client_that_takes_them(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
bootstrap.servers = ["a:1", "b:2"]
security.protocol = "sasl_ssl"
sasl.mechanism = "PLAIN"
sasl.username = "me"
sasl.password = "{SECRET}"
linger.ms = 5
fetch.wait.max.ms = 50
""",
    )
    config = read_config(path, [("compression.type", "lz4"), ("acks", "1")], "librdkafka")
    assert config.bootstrap == "a:1,b:2"
    assert config.consumer_options("me") == {
        "client": "librdkafka",
        "client_options": {
            "client.id": "me",
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "me",
            "sasl.password": SECRET,
            "fetch.wait.max.ms": 50,
        },
    }
    producer = config.producer_options("me")["client_options"]
    assert producer["linger.ms"] == 5
    assert producer["compression.type"] == "lz4"
    assert producer["acks"] == "1"
    assert "fetch.wait.max.ms" not in producer
    assert config.options("me")["client_options"] == {**config.for_both, "client.id": "me"}
    assert SECRET not in repr(config)


def test_paths_of_librdkafka_begin_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'ssl.ca.location = "ca.pem"')
    config = read_config(path, [("ssl.key.location", "key.pem")], "librdkafka")
    assert config.for_both == {
        "ssl.ca.location": str(tmp_path / "ca.pem"),
        "ssl.key.location": "key.pem",
    }
    path = written(tmp_path, 'ssl.ca.location = "probe"')
    assert read_config(path, (), "librdkafka").for_both == {"ssl.ca.location": "probe"}
    path = written(tmp_path, 'ssl.ca.location = "ca.pem"\nsecurity.protocol = "ssl"')
    with pytest.raises(argparse.ArgumentTypeError, match=r"ssl\.ca\.location"):
        read_config(path, (), "librdkafka")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (f"sasl.passwrd={SECRET}", "Did you mean 'sasl.password'?"),
        (f"sasl_plain_password={SECRET}", "Did you mean 'sasl.password'?"),
        (f"compression.type={SECRET}", "compression"),
        ("group.id=g", "give --group"),
        (
            "enable.auto.commit=true",
            "the package commits by itself, what has finished and nothing else\n",
        ),
        ("linger.ms=soon", "'linger.ms' cannot have this value"),
    ],
)
def test_what_librdkafka_refuses_is_exit_code_2(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*LISTEN, "--client", "librdkafka", "-o", typed])
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert f"error: -o: {said}" in shown or said in shown
    assert "client_options" not in shown.splitlines()[-1]
    assert "commit()" not in shown
    assert "auto_commit=" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (f"sasl_plain_passwrd={SECRET}", "did you mean sasl_plain_password?"),
        (f"request_timeout_ms={SECRET}", "request_timeout_ms is a number"),
        ("enable_auto_commit=yes", "enable_auto_commit is true or false"),
        ("group_id=g", "give --group"),
        (SECRET, "an option is NAME=VALUE"),
        (f"={SECRET}", "an option is NAME=VALUE"),
    ],
)
def test_what_cannot_be_typed_for_aiokafka_is_exit_code_2(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*LISTEN, "-o", typed])
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert SECRET not in shown


def test_a_client_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*LISTEN, "--client", "kafka-python"])
    assert exit_.value.code == 2
    assert "librdkafka" in capsys.readouterr().err


def test_a_client_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sdml_kafka.transport.connect.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as exit_:
        main([*LISTEN, "--client", "librdkafka"])
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert "error: client='librdkafka' needs an extra" in shown
    assert "pip install 'sdml-kafka-client[librdkafka]'" in shown


@pytest.mark.parametrize(
    "argv",
    [
        ["send", "orders"],
        ["listen", "orders", "--group", "g"],
        ["request", "orders", "hello"],
        ["serve", "orders", "--group", "g", "--", "cat"],
    ],
    ids=lambda argv: argv[0],
)
def test_what_a_producer_or_a_consumer_itself_refuses_is_one_line(
    argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    option = "acks=5" if argv[0] in ("send", "request") else "isolation_level=committed"
    assert main([*argv[:2], "-o", option, "--bootstrap", "127.0.0.1:1", *argv[2:]]) == 2
    shown = capfd.readouterr().err
    assert option.partition("=")[0] in shown
    assert shown.count("\n") == 1
