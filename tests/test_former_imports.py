"""Programs that were written for the former client run unchanged."""

import importlib.util

import sdml_kafka


def test_the_older_import_paths_give_the_same_objects() -> None:
    from sdml.kafka_client.clients import KafkaListener
    from sdml.kafka_client.types import AutoCommitConfig, ParserSpec

    assert KafkaListener is sdml_kafka.KafkaListener
    assert ParserSpec is sdml_kafka.ParserSpec
    assert AutoCommitConfig.__optional_keys__ == {"every", "interval_s"}


def test_sdml_stays_a_namespace_package() -> None:
    spec = importlib.util.find_spec("sdml")
    assert spec is not None
    assert spec.origin is None
