"""Records processed side by side: order by key, batches, retries and dead letters.

`KafkaListener.process` and `KafkaListener.processor` use it. What is to be decided (which record
may begin, what becomes of a failure, what a dead letter says) is in pure modules; `processor.py`
runs them on a pool of workers. Knows nothing of `rpc/` and of any particular Kafka client.
"""
