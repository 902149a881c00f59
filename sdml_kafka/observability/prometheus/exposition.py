"""The text that Prometheus reads."""

from collections.abc import Iterable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as BaseCollector

from sdml_kafka.observability.prometheus.collector import Collector, without
from sdml_kafka.observability.status_document import Observed


class Joined(BaseCollector):
    """The state of some objects, and what is registered in the default registry.

    Each object comes once, and each metric too: the registry may have collectors of the same
    objects, and of others.
    """

    def __init__(self, objects: Mapping[str, Observed], own: Collector) -> None:
        self._objects, self._own = objects, own

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        metrics = {metric.name: metric for metric in self._own.collect()}
        with without(self._objects.values()):
            for metric in list(REGISTRY.collect()):
                known = metrics.setdefault(metric.name, metric)
                if known is not metric:
                    known.samples += metric.samples
        return metrics.values()


def exposition(
    objects: Mapping[str, Observed], stuck_after_s: float, away_after_s: float
) -> tuple[bytes, str]:
    """Return the text and its content type: these objects' state, and the default registry's."""
    collector = Collector(*objects.values(), stuck_after_s=stuck_after_s, away_after_s=away_after_s)
    joined = Joined(objects, collector)
    try:
        return generate_latest(joined), CONTENT_TYPE_LATEST
    except UnicodeEncodeError:  # one wrong label must not hide all metrics
        return generate_latest(_Encodable(joined)), CONTENT_TYPE_LATEST


class _Encodable(BaseCollector):
    """The metrics of a collector, with `?` for what no UTF-8 can hold in a label."""

    def __init__(self, collector: BaseCollector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        for metric in self._collector.collect():
            copy = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            copy.samples = [
                each._replace(labels={name: _encodable(to) for name, to in each.labels.items()})
                for each in metric.samples
            ]
            yield copy


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
