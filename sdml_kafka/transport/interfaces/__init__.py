"""The port: what the package needs of a Kafka client, and no more.

The drivers (aiokafka's in `transport/aiokafka/`, and `sdml_kafka.testing.MemoryBroker`) implement
it by the rules in `transports.py`, and pass the contracts in `tests/support/contracts/` on asyncio
and on trio. All others use it, and it must not know any of them.
"""
