"""`sdml-kafka send`: sends each line of stdin as a record.

The command line uses it. It builds on the public `KafkaProducer` and knows nothing of the other
commands.
"""
