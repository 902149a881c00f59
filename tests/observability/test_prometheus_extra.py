"""What a program without the extra for Prometheus sees."""

import subprocess
import sys


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'prometheus_client' "
        "else found(name)\n"
        "from sdml_kafka import ConfigurationError, KafkaListener, observability\n"
        "try:\n"
        "    import sdml_kafka.observability.prometheus\n"
        "except ConfigurationError as error:\n"
        "    print(error)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert "pip install 'sdml-kafka-client[prometheus]'" in shown
