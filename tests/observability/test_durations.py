"""Our histograms say what prometheus-client's say, and keep a bounded number of things."""

from threading import Thread

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from sdml_kafka.observability.prometheus.durations import MAX_RECENT, SECONDS, Durations
from sdml_kafka.observability.prometheus.series import MAX_SERIES, OTHER

SOME = st.one_of(st.sampled_from(SECONDS), st.integers(0, 100), st.floats(0, 100).map(abs))
"""Among them those that are on a bound."""


def text(registry: CollectorRegistry) -> list[str]:
    """Return what Prometheus reads, but for when a series was made and for rounded sums."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line and "_sum" not in line]


@given(st.lists(st.tuples(st.sampled_from("ab"), SOME), max_size=30), st.integers(0, 30))
def test_it_counts_as_a_histogram_of_prometheus_client_does(
    values: list[tuple[str, float]], asked_after: int
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations("seconds", "Seconds.", ("label",))
    ours.register(durations)
    histogram = Histogram("seconds", "Seconds.", ("label",), buckets=SECONDS, registry=theirs)
    for number, (label, seconds) in enumerate(values):
        if number == asked_after:
            text(ours)
        durations.add((label,), seconds)
        histogram.labels(label).observe(seconds)
    assert text(ours) == text(theirs)


def test_nothing_is_lost_when_several_threads_measure_and_one_asks() -> None:
    durations = Durations("seconds", "Seconds.", ("label",))
    registry = CollectorRegistry()
    registry.register(durations)

    def measure() -> None:
        for _ in range(5000):
            durations.add(("a",), 0.5)

    threads = [Thread(target=measure) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        text(registry)
    assert registry.get_sample_value("seconds_count", {"label": "a"}) == 20_000
    assert registry.get_sample_value("seconds_sum", {"label": "a"}) == 10_000


def test_what_it_keeps_is_bounded() -> None:
    durations = Durations("seconds", "Seconds.", ("label",))
    registry = CollectorRegistry()
    registry.register(durations)
    for number in range(MAX_SERIES + 5):
        durations.add((str(number),), 1.0)
    assert registry.get_sample_value("seconds_count", {"label": OTHER}) == 5
    for _ in range(3 * MAX_RECENT):
        durations.add(("0",), 1.0)
        assert len(durations._known["0",].recent) < MAX_RECENT
    assert len(durations._known) == MAX_SERIES + 1
    assert registry.get_sample_value("seconds_count", {"label": "0"}) == 3 * MAX_RECENT + 1
