"""Calls the hooks of a listener for its records; none of it exists where nobody observes.

`records.py` is for processors and dead letters, `streams.py` for loops over streams. The parts
that a listener consists of choose these when they are built. Knows nothing of what a hook does.
"""
