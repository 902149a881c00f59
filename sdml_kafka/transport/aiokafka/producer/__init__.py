"""One producer of aiokafka behind the port's `Producer`.

`adapter.py` is what `connect.py` uses. `driver.py` owns the producer and puts the rest to work:
sending, partition queues, topic lookups, admin requests. No file here knows the consumer, and
`internals.py` alone touches private attributes of the producer.
"""
