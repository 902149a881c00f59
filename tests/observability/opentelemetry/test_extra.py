"""What a program without the extra sees."""

import subprocess
import sys


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from sdml_kafka import ConfigurationError, KafkaListener, observability\n"
        "try:\n"
        "    import sdml_kafka.observability.opentelemetry\n"
        "except ConfigurationError as error:\n"
        "    print(error)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert "pip install 'sdml-kafka-client[otel]'" in shown


def test_the_hook_needs_the_api_and_no_sdk() -> None:
    code = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "from sdml_kafka.observability.opentelemetry import OpenTelemetry\n"
        "OpenTelemetry()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
