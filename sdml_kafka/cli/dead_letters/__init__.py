"""`sdml-kafka dead-letters`: lists dead letters, shows one, and sends them anew.

The command line uses it. It builds on the public `KafkaListener`, and on how `listen` reads and
writes. It knows nothing of the other commands.
"""
