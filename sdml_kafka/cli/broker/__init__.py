"""`sdml-kafka broker`: a real Kafka on this machine to try things on.

The command line uses it. It builds on `sdml_kafka.testing` and knows nothing of listeners,
clients and servers.
"""
