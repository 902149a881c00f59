"""The embedded Kafka: a real Apache Kafka in child processes of the program that uses it.

`EmbeddedKafka` in `kafka.py` is its face, and blocks nobody's event loop. Used by tests, the demo
and the `broker` command. It must not know the rest of the package or any Kafka client, and does
not import the extra that brings Java and the download before a node is started.
"""
