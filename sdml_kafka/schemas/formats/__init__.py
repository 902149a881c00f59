"""One file a format: how a schema becomes a function that reads data, and one that writes it.

Used by the parsers and serializers of a registry. The formats ask nobody for anything: a schema
comes with all that it refers to.
"""
