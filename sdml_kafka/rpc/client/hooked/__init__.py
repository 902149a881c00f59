"""Calls the hooks of a client for its calls; none of it exists where nobody observes.

The client's actors choose `calls.py` when they are built. Knows nothing of what a hook does.
"""
