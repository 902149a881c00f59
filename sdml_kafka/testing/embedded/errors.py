"""The errors of the embedded Kafka."""


class EmbeddedKafkaError(Exception):
    """The embedded Kafka cannot do what was asked; its text says what to do."""


class UnknownKafkaVersionError(EmbeddedKafkaError, ValueError):
    """This package has no list of the jars of the version of Kafka that was asked for."""


class JavaNotFoundError(EmbeddedKafkaError):
    """No Java that can run Kafka is installed, and neither is the extra that brings one."""


class KafkaDownloadError(EmbeddedKafkaError):
    """Kafka's jars are not in the cache and could not be downloaded."""


class KafkaStartError(EmbeddedKafkaError):
    """A node ended while it started, or was not ready in time."""


class StartCancelled(EmbeddedKafkaError):
    """The embedded Kafka was closed, or its start cancelled, while something waited for it."""
