"""The in-memory broker: the twin of a Kafka cluster, for tests without a network.

`MemoryBroker` implements both halves of the port in `transport/interfaces/`, and the contract
tests that the real clients pass hold for it as well. Used by this package's tests and, through
`sdml_kafka.testing`, by those of its users. It must not know the listener, RPC or any client.
"""
