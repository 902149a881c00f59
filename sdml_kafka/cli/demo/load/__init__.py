"""The records of the demo, and the senders that send them.

The command starts them. They use the package's own producer behind its outbox, and know nothing of
who reads the records.
"""
