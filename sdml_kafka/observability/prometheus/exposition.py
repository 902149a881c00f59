"""The text that Prometheus reads."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from sdml_kafka.observability.prometheus.collector import Collector
from sdml_kafka.observability.status_document import Observed


def exposition(
    objects: Iterable[Observed], stuck_after_s: float, away_after_s: float
) -> tuple[bytes, str]:
    """Return the text and its content type: these objects' state, and the default registry's."""
    own = CollectorRegistry(auto_describe=False)
    collector = Collector(*objects, stuck_after_s=stuck_after_s, away_after_s=away_after_s)
    own.register(collector)
    return generate_latest(own) + generate_latest(REGISTRY), CONTENT_TYPE_LATEST
