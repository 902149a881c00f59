"""What is given as `transport`, and is none."""

from collections.abc import Callable
from typing import Any

import pytest

from sdml_kafka import ConfigurationError, KafkaListener, KafkaProducer, KafkaRPC, KafkaRPCServer
from sdml_kafka.testing import MemoryBroker
from tests.support.listener_on_twin import TEXTS

BOTH = r"Transport\(broker.connect\('a-group'\), broker.connect_producer\(\)\)"


@pytest.mark.parametrize(
    ("make", "alone"),
    [
        (
            lambda given: KafkaListener([TEXTS], transport=given),
            r", or broker.connect\('a-group'\)",
        ),
        (lambda given: KafkaProducer(transport=given), r", or broker.connect_producer\(\)"),
        (lambda given: KafkaRPC(transport=given), ""),
        (lambda given: KafkaRPCServer(transport=given), ""),
    ],
)
def test_a_broker_is_refused_with_what_to_give(make: Callable[[Any], Any], alone: str) -> None:
    with pytest.raises(ConfigurationError, match=f"not a MemoryBroker: .*{BOTH}{alone}"):
        make(MemoryBroker())


@pytest.mark.parametrize("make", [KafkaRPC, KafkaRPCServer])
def test_a_consumer_alone_is_not_enough_for_calls(make: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match=BOTH):
        make(transport=MemoryBroker().connect("a-group"))
