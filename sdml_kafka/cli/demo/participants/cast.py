"""Everybody who takes part in one demo."""

from collections.abc import Sequence

from attrs import frozen

from sdml_kafka.cli.demo.participants.cashier import Cashier
from sdml_kafka.cli.demo.participants.listener_member import ListenerMember
from sdml_kafka.cli.demo.participants.participant import Participant
from sdml_kafka.cli.demo.participants.pricing_client import PricingClient
from sdml_kafka.cli.demo.participants.pricing_server import PricingServer
from sdml_kafka.observability.status_document import Observed


@frozen
class Cast:
    listeners: Sequence[ListenerMember]
    servers: Sequence[PricingServer]
    client: PricingClient
    cashier: Cashier
    """Comes when records flow, and leaves for good at the end."""

    def all(self) -> Sequence[Participant]:
        """Return all participants that join and leave."""
        return (*self.listeners, *self.servers, self.client)

    def observed(self) -> Sequence[Observed]:
        """Return what those have for the live page who are there now."""
        seen = *(each.observed() for each in self.all()), self.cashier.observed()
        return [each for each in seen if each is not None]
