"""`sdml-kafka serve`: answers the requests of a topic by running a program for each.

The command line uses it. It builds on the public `KafkaRPCServer`; `programs.py` and `guard.py`
run and end the programs, and know nothing of Kafka.
"""
