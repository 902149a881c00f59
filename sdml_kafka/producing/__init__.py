"""The outbox and the sender: records on their way to a producer that may be replaced meanwhile.

Used by the RPC client for requests and by the RPC server for replies. Knows nothing of calls: a
record here has a callback for its outcome, and that is all.
"""
