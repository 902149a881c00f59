"""The consumer over librdkafka.

`adapter.py` is the program's side, and `driver.py` owns the two clients of a consumer: the member
of the group (`assignments.py`, `commits.py`, `lookups.py`), and the one that fetches
(`fetching.py`). Records reach the program through `exchange.py`. Nothing here knows the producer.
"""
