"""The consumer over librdkafka.

`adapter.py` is the program's side, and `driver.py` owns the threads of the two clients: the member
of the group (`member.py`, with what it asks brokers for in `positions/`), and the one that fetches
(`reading.py`, `records/`). Nothing here knows the producer.
"""
