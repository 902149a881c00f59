"""Dialects: how requests and replies are written into the headers of records, and read from them.

The client and the server use them. `messages` holds what every dialect yields, and each other file
is one dialect, the only file that knows its headers' names. Dialects are pure: they never await,
never look at a clock, and know neither the client nor the server.
"""
