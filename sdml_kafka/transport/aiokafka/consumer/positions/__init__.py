"""Where partitions are read: from which offset a group or a tail begins, and how far it has come.

The driver and what fetches records use it. It knows the consumer by `internals.py`, and nothing of
records, revocations and commits in flight.
"""
