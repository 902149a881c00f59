"""The dashboard and the alerts fit the metrics, and no metric has more series than it may."""

import json
import re
from collections.abc import Callable
from operator import add
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

from sdml_kafka.health.verdicts import State
from sdml_kafka.observability.prometheus import Prometheus
from sdml_kafka.observability.prometheus.collector import METRICS
from sdml_kafka.observability.prometheus.series import MAX_SERIES, OTHER, Values

GRAFANA = Path(__file__).parents[2] / "docs" / "grafana"
ALERTS = (GRAFANA / "alerts.yml").read_text()
EXPRESSIONS: list[str] = [
    target["expr"]
    for panel in json.loads((GRAFANA / "sdml-kafka.json").read_text())["panels"]
    for target in panel["targets"]
]
NAMES = r"\b(?:sdml_kafka|kafka_consumergroup)_\w+"
NOT_SHOWN = {"kafka_consumergroup_current_offset"}
HOOK_METRICS = {
    "sdml_kafka_handler_seconds",
    "sdml_kafka_call_seconds",
    "sdml_kafka_rebalance_seconds",
    "sdml_kafka_commits",
    "sdml_kafka_commits_failed",
}


@pytest.mark.parametrize(("join", "joined"), [(add, 5), (max, 1)])
def test_what_is_beyond_the_bound_is_joined(
    join: Callable[[float, float], float], joined: float
) -> None:
    values = Values(1, join)
    for number in range(MAX_SERIES + 5):
        values.note((str(number),), 1)
    items = dict(values.items())
    assert len(items) == MAX_SERIES + 1
    assert items[OTHER,] == joined


def samples() -> dict[str, set[str]]:
    """Return the samples of each metric, as queries name them."""
    found = {
        name: {f"{name}_total" if each.kind == "counter" else name}
        for name, each in METRICS.items()
    }
    ends = ("bucket", "sum", "count", "total")
    return found | {name: {f"{name}_{end}" for end in ends} for name in HOOK_METRICS}


def metrics_in(text: str) -> set[str]:
    return set(re.findall(NAMES, text))


def test_the_hook_has_the_metrics_that_these_tests_know() -> None:
    registry = CollectorRegistry()
    Prometheus(registry)
    assert {family.name for family in registry.collect()} == HOOK_METRICS


@pytest.mark.parametrize("text", [" ".join(EXPRESSIONS), ALERTS], ids=["dashboard", "alerts"])
def test_they_name_metrics_and_states_that_exist(text: str) -> None:
    named = metrics_in(text)
    assert named
    assert named - set().union(*samples().values()) == set()
    states = {
        state for group in re.findall(r'state[!=~]+"(.*?)"', text) for state in group.split("|")
    }
    assert states
    assert states - set(get_args(State)) == set()


def test_the_dashboard_shows_all_metrics() -> None:
    shown = metrics_in(" ".join(EXPRESSIONS))
    assert {name for name, ends in samples().items() if not ends & shown} == NOT_SHOWN


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_panel_is_for_the_chosen_programs_and_adds_up_their_instances(expression: str) -> None:
    """A line without a sum would be there once for each instance, all with the same name."""
    assert re.match(r"(sum|min|max) by \(|histogram_quantile\(0.99, sum by \(le, ", expression)
    chosen = r'\{job=~"\$job", instance=~"\$instance"'
    assert len(re.findall(NAMES + chosen, expression)) == len(re.findall(NAMES, expression))
    assert re.search(r"\)\s*/\s*rate", expression) is None  # the mean of all, not of means
