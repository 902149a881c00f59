"""The options that a file of `--config` holds."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen
class ClientConfig:
    """The options of the client, as the file has them."""

    bootstrap: str | None = None
    """The addresses; None if the file has none."""
    for_consumer: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    """The options that aiokafka's consumer takes."""
    for_both: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    """The options that aiokafka's consumer or its producer takes."""
    for_producer: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    """The options that aiokafka's producer takes."""

    def consumer_options(self, client_id: str) -> dict[str, Any]:
        """Return the consumer's options, with this client id unless the file has another."""
        return {"client_id": client_id, **self.for_consumer}

    def producer_options(self, client_id: str) -> dict[str, Any]:
        """Return the producer's options, with this client id unless the file has another."""
        return {"client_id": client_id, **self.for_producer}

    def options(self, client_id: str) -> dict[str, Any]:
        """Return all options, with this client id unless the file has another."""
        return {"client_id": client_id, **self.for_both}


NO_CONFIG = ClientConfig()
