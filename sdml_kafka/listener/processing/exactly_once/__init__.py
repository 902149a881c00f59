"""Processors whose sends and offsets are committed in one transaction, or not at all.

Used by `processors.py` alone. A processor here is one of the folder above with other parts: what
handlers return goes through `transactions.py`, which commits. Must not know of a Kafka client, only
of the port.
"""
