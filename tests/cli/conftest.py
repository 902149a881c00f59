import pytest

from sdml_kafka.cli.options import BOOTSTRAP


@pytest.fixture(autouse=True)
def no_address_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of whoever runs the tests decide what a command connects to."""
    monkeypatch.delenv(BOOTSTRAP, raising=False)
