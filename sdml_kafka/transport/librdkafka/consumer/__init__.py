"""The consumer over librdkafka.

`adapter.py` is the program's side, and `driver.py` owns the two clients of a consumer: the member
of the group (`assignments.py`, `commits.py`, `lookups.py`), and the one that fetches
(`records/`), through which records reach the program. Nothing here knows the producer.
"""
