"""One producer of librdkafka behind the port's `Producer`.

`adapter.py` is what `connect.py` uses. `sending.py` takes the records, `delivery_reports.py` brings
their outcomes, `topic_lookups.py` looks for topics, and `admin.py` asks about topics and groups. No
file here knows the consumer.
"""
