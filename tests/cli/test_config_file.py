"""What a file of `--config` says, and what is said about a wrong one; no text shows a value."""

import argparse
import ssl
from pathlib import Path

import pytest

from sdml_kafka.cli.config_file import read_config
from sdml_kafka.cli.main import main

SECRET = "hunter2-is-secret"


def written(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "client.toml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_options_of_the_client(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
# a comment
bootstrap_servers = ["a:1", "b:2"]
security_protocol = "SASL_PLAINTEXT"
sasl_mechanism = "SCRAM-SHA-512"
sasl_plain_username = "me"
sasl_plain_password = "{SECRET}"
request_timeout_ms = 5000
linger_ms = 5
""",
    )
    config = read_config(path)
    assert config.bootstrap == "a:1,b:2"
    assert config.for_both["sasl_plain_password"] == SECRET
    assert config.for_both["linger_ms"] == 5
    assert "linger_ms" not in config.for_consumer  # it is the producer's
    assert config.for_consumer["request_timeout_ms"] == 5000
    assert config.for_producer["linger_ms"] == 5
    assert config.for_producer["sasl_plain_password"] == SECRET
    assert SECRET not in repr(config)


def test_tls_with_the_authorities_of_the_system(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, 'security_protocol = "SSL"'))
    context = config.for_consumer["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'sasl_plain_pasword = "{SECRET}"', "did you mean sasl_plain_password?"),
        ('bootstrap_server = "a:1"', "did you mean bootstrap_servers?"),
        ('security.protocol = "SSL"', "did you mean security_protocol?"),
        ('cafile = "ca.pem"', "did you mean ssl_cafile?"),
        ('zzz = "1"', "there is no option zzz"),
        ('group_id = "g"', "give --group"),
        ('ssl_context = "x"', "ssl_cafile"),
        ('value_deserializer = "x"', "only in a program"),
        ('request_timeout_ms = "5000"', "a number, without quotes"),
        ("client_id = 5", "text, in quotes"),
        (f"sasl_plain_password = {SECRET}", "text in quotes"),
        (f'sasl_plain_password = ["{SECRET}"]', "text, in quotes"),
        ('enable_auto_commit = "yes"', "true or false"),
        (f'sasl_plain_password = "{SECRET}"', "security_protocol"),
        ('ssl_cafile = "ca.pem"', "security_protocol"),
        ('security_protocol = "SSL"\nssl_cafile = "ca.pem"', "ssl_cafile: there is no"),
        ('security_protocol = "SSL"\nssl_keyfile = "client.toml"', "without ssl_certfile"),
        (
            'security_protocol = "SSL"\nssl_certfile = "client.toml"\nssl_password = "hunter2"',
            "one of ssl_certfile, ssl_password cannot be used",
        ),
        ('security_protocol = "SSL"\nssl_cadata = "x"', "ssl_cadata cannot be used"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read_config(path)
    assert said in str(caught.value)
    assert path in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.toml", "No such file"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=said):
            read_config(str(path))
    (tmp_path / "latin").write_bytes(b'client_id = "\xff"')
    with pytest.raises(argparse.ArgumentTypeError, match="UTF-8"):
        read_config(str(tmp_path / "latin"))


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_password_that_everybody_may_read(
    mode: int, warns: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'security_protocol = "SASL_SSL"\nsasl_plain_password = "{SECRET}"'
    path = written(tmp_path, text, mode)
    read_config(path)
    shown = capsys.readouterr().err
    assert bool(shown) == warns
    if warns:
        assert f"chmod 600 {path}" in shown
        assert "sasl_plain_password" in shown
        assert SECRET not in shown


def test_a_file_without_a_password_may_be_read_by_everybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read_config(written(tmp_path, 'client_id = "me"', 0o644))
    assert capsys.readouterr().err == ""


COMMANDS = (
    ["listen", "orders", "--group", "g"],
    ["request", "orders", "hello"],
    ["serve", "orders", "--group", "g", "--", "cat"],
)


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])
def test_each_command_refuses_a_wrong_file_with_exit_code_2(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, f'sasl_plain_pasword = "{SECRET}"')
    with pytest.raises(SystemExit) as exit_:
        main([*argv[:2], "--config", path, "--bootstrap", "a:1", *argv[2:]])
    assert exit_.value.code == 2
    shown = capsys.readouterr().err
    assert "--config" in shown
    assert "sasl_plain_password?" in shown
    assert SECRET not in shown


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])
def test_what_the_client_itself_refuses_is_one_line_and_exit_code_2(
    argv: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, 'bootstrap_servers = "127.0.0.1:1"\nisolation_level = "committed"')
    assert main([*argv[:2], "--config", path, *argv[2:]]) == 2
    shown = capfd.readouterr().err
    assert "isolation_level" in shown
    assert "read_committed" in shown
    assert shown.count("\n") == 1
