"""`sdml-kafka request`: makes one call and writes its reply to stdout.

The command line uses it. It builds on the public `KafkaRPC` and knows nothing of the other
commands.
"""
