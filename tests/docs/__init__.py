"""The README and the pages in docs/: their programs run, their commands are understood.

`tests/support/page_blocks.py` says how a page gives its programs what they need.
"""
