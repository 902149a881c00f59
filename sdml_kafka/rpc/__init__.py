"""Calls over Kafka: requests and their replies.

`client` sends requests, `server` answers them, and neither knows the other. What both share is
here: the dialects that write calls into headers, and the deadline that the calls of a handler
inherit. Nothing in this folder knows the listener.
"""
