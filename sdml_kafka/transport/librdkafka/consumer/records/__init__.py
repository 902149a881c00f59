"""The records of a consumer over librdkafka, from what a client fetches to the program's polls.

`fetching.py` takes them from the client, as far as `supply.py` allows, and `exchange.py` holds them
until a poll takes them. The driver uses both, and the adapter the exchange. Nothing here knows the
member of the group, its assignments and commits.
"""
