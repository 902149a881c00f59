"""The text that Prometheus reads."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from sdml_kafka.observability.prometheus.collector import Collector
from sdml_kafka.observability.status_document import Observed


def exposition(objects: Iterable[Observed]) -> tuple[bytes, str]:
    """Return the text and its content type: these objects' state, and the default registry's."""
    own = CollectorRegistry(auto_describe=False)
    own.register(Collector(*objects))
    return generate_latest(own) + generate_latest(REGISTRY), CONTENT_TYPE_LATEST
