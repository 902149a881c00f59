"""One producer of librdkafka behind the port's `Producer`, or its `TransactionalProducer`.

`adapter.py` and `transactions.py` are what `connect.py` uses. `sending.py` takes the records,
`delivery_reports.py` brings their outcomes, `ending.py` commits and aborts, `topic_lookups.py`
looks for topics, and `admin.py` asks about topics and groups. No file here knows the consumer.
"""
