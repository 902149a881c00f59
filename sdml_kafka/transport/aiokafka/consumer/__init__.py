"""One consumer of aiokafka behind the port's `Consumer`.

`adapter.py` is what `connect.py` uses. `driver.py` owns the consumer and puts the rest to work:
fetching, positions, revocation, commits, batches that do not decode. No file here knows the
producer, and `internals.py` alone touches private attributes of the consumer.
"""
