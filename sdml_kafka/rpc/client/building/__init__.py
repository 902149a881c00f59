"""From what a program asks for to a call that can begin: its record, and what its reply has to be.

The client makes a builder when it is entered, and a call is built for each request, stream and
notification. What differs between the dialects is here, but not a byte of theirs. Nothing here
sends, waits, or reads a reply.
"""
