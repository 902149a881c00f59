"""Calls the hooks of a server for its requests; none of it exists where nobody observes.

The server's actors choose these parts when they are built. Knows nothing of what a hook does.
"""
