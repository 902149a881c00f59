"""From the records of a topic to values: parsers, their specs, and checks of types.

Used by the listener for records and by the RPC client for replies. Runs no parser itself, and
knows nothing of streams, calls and Kafka clients.
"""
