"""Builds the services once, runs them, and speaks with them in lines of JSON.

Used by the tests of this folder's parent alone. It knows nothing of what the services do.
"""
