"""What is written into a node's configuration, and what users may put into it."""

from pathlib import Path
from typing import Any

import pytest

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.testing.embedded.config import NodePorts, as_properties_file, server_properties

PORTS = [NodePorts(9092, 1, 2), NodePorts(9093, 3, 4), NodePorts(9094, 5, 6), NodePorts(9095, 7, 8)]


def test_nodes_form_one_quorum_and_listen_on_this_machine_only() -> None:
    written = server_properties(1, PORTS[:3], Path("/data"), {})
    assert written["node.id"] == "1"
    assert written["controller.quorum.voters"] == "0@127.0.0.1:2,1@127.0.0.1:4,2@127.0.0.1:6"
    assert written["listeners"] == (
        "PLAINTEXT://127.0.0.1:9093,INTERNAL://127.0.0.1:3,CONTROLLER://127.0.0.1:4"
    )
    assert "CONTROLLER" not in written["advertised.listeners"]


@pytest.mark.parametrize(("nodes", "replicas"), [(1, "1"), (2, "2"), (4, "3")])
def test_internal_topics_are_replicated_as_far_as_there_are_nodes(
    nodes: int, replicas: str
) -> None:
    written = server_properties(0, PORTS[:nodes], Path("/data"), {})
    assert written["offsets.topic.replication.factor"] == replicas
    assert written["transaction.state.log.replication.factor"] == replicas


def test_properties_of_the_user_win() -> None:
    written = server_properties(0, PORTS[:1], Path("/data"), {"num.partitions": "7", "a.b": "c"})
    assert written["num.partitions"] == "7"
    assert written["a.b"] == "c"


def test_what_says_where_a_node_lives_cannot_be_overridden() -> None:
    with pytest.raises(ValueError, match=r"listeners, log\.dirs itself: leave them out"):
        EmbeddedKafka(properties={"log.dirs": "/x", "listeners": "A://:1", "num.partitions": "1"})


def test_a_property_that_is_not_text_is_refused() -> None:
    wrong: Any = {"num.partitions": 3}
    with pytest.raises(TypeError, match=r"num\.partitions must be a str"):
        EmbeddedKafka(properties=wrong)


def test_property_values_are_escaped_as_java_reads_them() -> None:
    text = as_properties_file({"a": 'x="\\;\n', "b": " é😀", "c": "#1"})
    assert text == 'a=x\\="\\\\;\\n\nb=\\ \\u00e9\\ud83d\\ude00\nc=\\#1\n'
