"""CloudEvents 1.0 in Kafka's binary and structured mode: a parser and a serializer.

Used by programs through `parse_cloudevent` and `to_cloudevent`. Knows nothing of partitions, calls
and Kafka clients. The `cloudevents` package is the other side in tests alone: it makes up a time
that a record lacks, and writes some data as Python shows it; see findings/.
"""
