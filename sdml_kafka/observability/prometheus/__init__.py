"""Metrics for Prometheus (extra `prometheus`): a hook for what takes time, and a collector.

`hook.py` is `Prometheus`, whose histograms are in `durations.py`; `collector.py` reads `status()`
when it is asked. Both keep the number of series bounded (`series.py`). Needs prometheus-client, and
knows of the rest of this package what is public.
"""

from importlib.util import find_spec

from sdml_kafka.errors import ConfigurationError

if find_spec("prometheus_client") is None:
    raise ConfigurationError(
        "Prometheus needs an extra: pip install 'sdml-kafka-client[prometheus]'"
    )

from sdml_kafka.observability.prometheus.collector import Collector
from sdml_kafka.observability.prometheus.hook import Prometheus

__all__ = ["Collector", "Prometheus"]
