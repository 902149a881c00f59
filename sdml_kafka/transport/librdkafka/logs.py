"""Write librdkafka's log lines into a logger of this package, few of each kind, without secrets.

librdkafka hands its lines over while a client is polled, so they come on the thread that polls.
What this package says itself, such as connections that fail, is at DEBUG.
"""

from collections.abc import Collection
from logging import DEBUG, getLogger

from sdml_kafka.log_fields import escaped, fields
from sdml_kafka.rate_limited_log import RateLimitedLog

SAID_BY_US = frozenset(
    {
        "ADDOFFSETS",  # transactions: what the calls raise that end them
        "ADDPARTS",
        "ASSIGN",  # what an eager protocol refuses: see consumer/assignments.py
        "CONFWARN",  # options for the other kind of client, which both are given
        "ERROR",  # brokers that are away: `connected`, and the error of a start
        "FAIL",
        "FATAL",  # raised by the next call
        "GETPID",  # tried again; a refusal is an error of the producer
        "MAXPOLL",
        "REQTMOUT",
        "SESSTMOUT",
        "TERMINATE",
        "TXNERR",
    }
)
"""The facilities of lines that say what this package says itself."""
MAX_CHARS = 1000

_log = getLogger("sdml_kafka.transport.librdkafka")


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """Return a text in which no secret is left."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


class ClientLog:
    """The logger of a client of librdkafka, as it takes it."""

    def __init__(self, secrets: Collection[str]) -> None:
        """Begin without lines.

        Args:
            secrets: The values of options that no line may show.
        """
        self._secrets = secrets
        self._limited = RateLimitedLog(_log)

    def log(self, level: int, _: str, facility: str, name: str, text: str) -> None:
        """Write a line; librdkafka calls this with the name of the client, such as rdkafka#1."""
        text = without_secrets(text, self._secrets)
        if level <= DEBUG or facility in SAID_BY_US:
            # The program has asked for these lines (`debug`, DEBUG), so all of them are written.
            if _log.isEnabledFor(DEBUG):
                text, extra = escaped(text, MAX_CHARS), fields(client_id=name)
                _log.debug("librdkafka: %s %s: %s", facility, name, text, extra=extra)
        else:
            line, extra = "librdkafka: %s %s: %s", fields(client_id=name)
            self._limited.log(level, facility, line, facility, name, text, extra=extra)
