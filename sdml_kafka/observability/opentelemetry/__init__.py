"""Spans and metrics with OpenTelemetry (extra `otel`), made by a hook: `OpenTelemetry`.

`hook.py` is the hook; `process_spans.py`, `send_spans.py`, `call_spans.py` and `batch_spans.py`
make the spans, `metrics.py` the metrics. `names.py` has what the conventions call things, and
`propagation.py` moves contexts through headers. Needs OpenTelemetry's API and never its SDK, and
knows of the rest of this package what hooks are called with.
"""

from importlib.util import find_spec

from sdml_kafka.errors import ConfigurationError

if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:
    raise ConfigurationError("OpenTelemetry needs an extra: pip install 'sdml-kafka-client[otel]'")

from sdml_kafka.observability.opentelemetry.hook import OpenTelemetry

__all__ = ["OpenTelemetry"]
