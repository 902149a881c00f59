"""The dashboard names metrics that exist, and no metric has more series than it may."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry

from sdml_kafka.observability.prometheus import Prometheus
from sdml_kafka.observability.prometheus.collector import METRICS
from sdml_kafka.observability.prometheus.series import MAX_SERIES, OTHER, Sums

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "sdml-kafka.json"
HOOK_METRICS = {
    "sdml_kafka_handler_seconds",
    "sdml_kafka_call_seconds",
    "sdml_kafka_rebalance_seconds",
    "sdml_kafka_commits",
    "sdml_kafka_commits_failed",
}


def test_what_is_beyond_the_bound_is_added_up() -> None:
    sums = Sums(1)
    for number in range(MAX_SERIES + 5):
        sums.add((str(number),), 1)
    items = dict(sums.items())
    assert len(items) == MAX_SERIES + 1
    assert items[OTHER,] == 5


def expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_the_dashboard_names_metrics_that_exist() -> None:
    samples = set[str]()
    for name, each in METRICS.items():
        samples.add(f"{name}_total" if each.kind == "counter" else name)
    for name in HOOK_METRICS:
        samples |= {f"{name}_{end}" for end in ("bucket", "sum", "count", "total")}
    registry = CollectorRegistry()
    Prometheus(registry)
    assert {family.name for family in registry.collect()} == HOOK_METRICS
    named = set(re.findall(r"\b(?:sdml_kafka|kafka)_\w+", " ".join(expressions())))
    assert named
    assert named - samples == set()
