"""KafkaListener: streams of parsed records by type.

A record goes from the consumer loop (`consuming/`) through the dispatcher, which parses it, into
the queues of the streams that read its type, and from there to a reader, the user's loop. Used by
programs, through `sdml_kafka`, and by the command line. Knows nothing of `rpc/` and of any
particular Kafka client.
"""
