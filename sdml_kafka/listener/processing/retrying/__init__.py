"""Retry topics: failed records that are read back when they are due.

The plan says which topic comes after which, and when a record is due; the rest creates the topics,
takes their records beside those of the type itself, and lets each wait for its time. Used by
`processing/` alone. Knows nothing of handlers and of what becomes of a record.
"""
