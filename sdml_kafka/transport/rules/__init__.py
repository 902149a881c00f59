"""The rules that the drivers for a real broker share.

They say where a group begins, how commits are parted and outcomes reported. Both drivers use them,
and tests do. They are pure: they know neither a client nor a clock, and nothing of drivers.
"""
