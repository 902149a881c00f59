"""Observers of a program: hooks, their events, and messages that they may add to.

Listeners, clients, servers and producers call hooks; `observability/` consists of hooks, and so
may a program. `hook.py` has the class to derive from, `events.py` what has happened,
`participation.py` what a hook may take part in, `calls.py` how the parts call hooks. Knows the
records of the port, and nothing of the parts that call it.
"""
