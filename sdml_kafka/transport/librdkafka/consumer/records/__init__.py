"""The records of a consumer over librdkafka, from what a client fetches to the program's polls.

`fetching.py` takes them from the client as far as `supply.py` allows, `undecodable_batches.py` sees
to what does not decode, and `exchange.py` holds records until a poll takes them. The driver uses
the first and the last, the adapter the last. Nothing here knows the member of the group, its
assignments and commits.
"""
