"""The versions of Kafka that can be embedded, each with a list of its jars in `kafka_jars/`."""

import os
from importlib.resources import files
from math import ceil

import attrs

from sdml_kafka.testing.embedded.errors import UnknownKafkaVersionError

DEFAULT_VERSION = "4.4.0"
VERSION_VARIABLE = "SDML_KAFKA_EMBEDDED_VERSION"
"""The environment variable that names the version where the program names none."""

_LISTS = files(__package__).joinpath("kafka_jars")
_SUFFIX = ".txt"


@attrs.frozen
class Jar:
    """A jar that Kafka needs, as it was published."""

    coordinate: str
    """`group:artifact:version` in Maven's repository."""
    sha256: str
    size: int = attrs.field(converter=int)
    """The number of its bytes."""

    @property
    def filename(self) -> str:
        """The name of the jar's file."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@attrs.frozen
class Release:
    """A version of Kafka, with the jars that it needs."""

    version: str
    jars: tuple[Jar, ...]

    @property
    def title(self) -> str:
        """The name that people are shown."""
        return f"Apache Kafka {self.version}"

    @property
    def megabytes(self) -> int:
        """The size of all jars."""
        return ceil(sum(jar.size for jar in self.jars) / (1 << 20))


def known_versions() -> list[str]:
    """Return the versions that can be embedded, the oldest first."""
    names = (each.name for each in _LISTS.iterdir())
    versions = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])


def find_release(version: str | None) -> Release:
    """Return the release of a version, by default of that in the environment or `DEFAULT_VERSION`.

    Raises:
        UnknownKafkaVersionError: There is no list of this version's jars.
    """
    source = "version"
    if version is None:
        source = VERSION_VARIABLE
        version = os.environ.get(VERSION_VARIABLE) or DEFAULT_VERSION
    known = known_versions()
    if version not in known:
        raise UnknownKafkaVersionError(
            f"{source} is {version!r}, and the embedded Kafka can be {' or '.join(known)}: give "
            f"one of these, or leave it out for {DEFAULT_VERSION}"
        )
    lines = _LISTS.joinpath(f"{version}{_SUFFIX}").read_text("utf-8").splitlines()
    jars = [Jar(*line.split()) for line in lines if line and not line.startswith("#")]
    return Release(version, tuple(jars))
