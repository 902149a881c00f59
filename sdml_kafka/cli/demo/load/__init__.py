"""The records of the demo, and the senders that send them.

The command opens them over the transport's port for producers. They know nothing of who reads the
records.
"""
