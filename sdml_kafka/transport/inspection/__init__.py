"""Requests that change nothing: what brokers say of themselves, of topics and of groups.

`sdml-kafka doctor` uses this folder: it writes the requests and reads the answers here, and a
driver carries them (`Inspector` in `transport/interfaces/inspection.py`). Pure: nothing here waits,
or knows of a Kafka client.
"""
