"""KafkaProducer: records sent one by one, each with its acknowledgement.

A record goes from `send` into the table of those that wait (`pending_sends.py`) and through the
outbox (`producing/`) to the broker, whose answer settles it. Used by programs, through
`sdml_kafka`, and by the command line. Knows nothing of `listener/`, of `rpc/`, and of any
particular Kafka client.
"""
