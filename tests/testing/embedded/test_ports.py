"""The ports of the nodes."""

from sdml_kafka.testing.embedded.ports import choose_ports


def test_ports_follow_the_one_that_is_asked_for() -> None:
    ports = choose_ports(3, 9720)
    assert [node.client for node in ports] == [9720, 9721, 9722]
    assert len({port for node in ports for port in (node.client, node.internal)}) == 6
