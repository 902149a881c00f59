"""Every exception of this package, flat: the class says who has to act, the text what to do."""

from sdml_kafka.runtime.errors import RestartsExhausted, StartTimeout

__all__ = [
    "AuthenticationFailed",
    "AuthorizationFailed",
    "BrokerUnreachable",
    "ClientClosed",
    "ClientNotStarted",
    "CommitFailed",
    "CommitRejected",
    "ConfigurationError",
    "ConsumerFailed",
    "JoinTimeout",
    "ParseFailed",
    "RestartsExhausted",
    "SdmlKafkaError",
    "StartTimeout",
    "StreamBusy",
    "UnknownType",
]


class SdmlKafkaError(Exception):
    """Anything that this package raises of its own."""


class ConfigurationError(SdmlKafkaError, ValueError):
    """The program passed something that cannot work; it has to be changed."""


class UnknownType(ConfigurationError):
    """No parser yields the type that was subscribed to."""


class ClientNotStarted(SdmlKafkaError):
    """The client was used before it was entered."""


class ClientClosed(SdmlKafkaError):
    """The client was used after it was left."""


class StreamBusy(SdmlKafkaError):
    """Two tasks pull one iterator by hand; each needs a loop of its own."""


class ParseFailed(SdmlKafkaError):
    """A parser raised, or returned another type than its spec says; its cause is the error."""


class BrokerUnreachable(SdmlKafkaError, ConnectionError):
    """No broker answered in time; the address, the network or the broker needs a look."""


class JoinTimeout(SdmlKafkaError, TimeoutError):
    """The group did not finish its rebalance in time; one of its members may hold it up."""


class AuthenticationFailed(SdmlKafkaError):
    """The broker refused who we are; the credentials need a look. A restart cannot mend it."""


class AuthorizationFailed(SdmlKafkaError):
    """The broker refused what we want to do; its ACLs need a look. A restart cannot mend it."""


class CommitFailed(SdmlKafkaError):
    """A commit did not go through, or its outcome is not known; its records may come again."""


class CommitRejected(CommitFailed):
    """The group has moved on: the partitions of this commit belong to a later assignment."""


class ConsumerFailed(SdmlKafkaError):
    """The client below died or misbehaved; its actor is restarted with a new one."""
