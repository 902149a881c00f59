"""Replies on their way from the server to the broker, those of streams in their order.

The server's workers hand answers to `replies.py`, which sends them, again if need be, and finishes
their requests. It knows neither handlers nor how requests are read.
"""
