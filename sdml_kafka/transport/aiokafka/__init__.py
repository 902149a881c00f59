"""The driver over aiokafka: the one folder that imports aiokafka.

`connect.py` calls `connect` and `connect_producer` of the two `adapter.py`, and `factory.py` when a
user gave addresses instead of factories. Nothing else is used from outside. Everything private of
aiokafka that is touched is listed in `client.py` and in the two `internals.py`.
"""
