"""Which versions of Kafka can be embedded, and how one is chosen."""

import re

import pytest

from sdml_kafka.testing import EmbeddedKafka, EmbeddedKafkaError, UnknownKafkaVersionError
from sdml_kafka.testing.embedded.releases import (
    DEFAULT_VERSION,
    VERSION_VARIABLE,
    find_release,
    known_versions,
)


@pytest.mark.parametrize("version", known_versions())
def test_the_list_of_a_version_is_whole(version: str) -> None:
    release = find_release(version)
    assert f"org.apache.kafka:kafka_2.13:{version}" in {jar.coordinate for jar in release.jars}
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in release.jars)
    assert len({jar.filename for jar in release.jars}) == len(release.jars)
    assert 30 < release.megabytes < 80


def test_the_newest_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VERSION_VARIABLE, raising=False)
    assert find_release(None).version == DEFAULT_VERSION == known_versions()[-1]
    assert f"else {DEFAULT_VERSION}." in (EmbeddedKafka.__doc__ or "")


def test_the_environment_names_the_version_unless_the_program_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VERSION_VARIABLE, "4.1.0")
    assert find_release(None).version == "4.1.0"
    assert find_release("4.4.0").version == "4.4.0"


@pytest.mark.parametrize("version", ["3.9.0", "4.1", "", "../4.1.0", "4.1.0.txt"])
@pytest.mark.parametrize("error", [UnknownKafkaVersionError, EmbeddedKafkaError, ValueError])
def test_a_version_that_cannot_be_had_is_refused(version: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"version is .*: give one of these, or leave it out for 4"):
        EmbeddedKafka(version=version)


def test_a_wrong_version_in_the_environment_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VERSION_VARIABLE, "newest")
    with pytest.raises(UnknownKafkaVersionError, match="SDML_KAFKA_EMBEDDED_VERSION is 'newest'"):
        EmbeddedKafka()
