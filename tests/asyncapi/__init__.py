"""Tests of the AsyncAPI documents.

`schema/` holds the official JSON Schema of AsyncAPI 3.0.0, out of the npm package `@asyncapi/specs`
6.11.1 with its licence (Apache 2.0); white space is all that was changed.
"""
