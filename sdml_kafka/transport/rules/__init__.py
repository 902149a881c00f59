"""What the drivers for a real broker decide alike: where a group begins, how commits are parted.

Both drivers use these pure rules, and tests do. They know neither a client nor a clock, and nothing
of drivers.
"""
