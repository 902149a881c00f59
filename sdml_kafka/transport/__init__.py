"""The port to Kafka (`interfaces/`) and the drivers behind it, a folder each.

`consuming/`, `producing/`, the RPC client and the broker in memory use the port alone; the public
classes get a driver from `connect.py`. Nothing here knows streams, ledgers, calls or actors, and
aiokafka is imported in `aiokafka/` alone.
"""
