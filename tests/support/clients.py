"""The Kafka client that a test runs on, and what aiokafka's options are called there.

A test with the fixture `client` (`tests/conftest.py`) runs on each. The choice is in the
environment, so that processes which a test starts make it as well.
"""

import os
from typing import Any, Literal, get_args

from sdml_kafka.transport.client_choice import Client
from sdml_kafka.transport.librdkafka.option_names import CLASSIC_GROUPS, OF_AIOKAFKA

Variant = Literal["aiokafka", "librdkafka", "librdkafka-classic"]
"""librdkafka joins a group by KIP-848's protocol, the last one by `cooperative-sticky`."""
VARIANTS: tuple[Variant, ...] = get_args(Variant)
VARIABLE = "SDML_KAFKA_TEST_CLIENT"

NAMES = {**OF_AIOKAFKA, "enable_auto_commit": "enable.auto.commit"}


def chosen() -> Client:
    """Return the client of this test."""
    return "aiokafka" if variant() == "aiokafka" else "librdkafka"


def variant() -> str:
    """Return the way in which this test uses a client, one of `VARIANTS`."""
    return os.environ.get(VARIABLE, "aiokafka")


def arguments(**given: Any) -> dict[str, Any]:
    """Return what makes a listener or a producer on the client of this test.

    The options among what is given are aiokafka's. In a group of KIP-848 the broker decides some of
    them, which are left out.
    """
    if chosen() == "aiokafka" or given.get("client") is not None:
        return given
    own = {name: value for name, value in given.items() if name not in NAMES}
    options = dict(own.pop("client_options", {}))
    for name in given.keys() & NAMES.keys():
        theirs = NAMES[name]
        if variant() == "librdkafka-classic" or theirs not in CLASSIC_GROUPS:
            options[theirs] = given[name]
    if variant() == "librdkafka-classic":
        options.setdefault("group.protocol", "classic")
    return {**own, "client": "librdkafka", "client_options": options}
