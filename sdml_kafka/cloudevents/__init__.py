"""CloudEvents 1.0 in Kafka's binary and structured mode: a parser and a serializer.

Used by programs through `parse_cloudevent` and `to_cloudevent`. Knows nothing of partitions, calls
and Kafka clients. The `cloudevents` package was weighed: it writes `True` and bytes as Python shows
them, and takes any key for an attribute, so it is the other side in the tests instead.
"""
