"""`sdml-kafka listen`: writes the records of topics to stdout as lines of JSON.

The command line uses it. It builds on the public `KafkaListener` and knows nothing of the other
commands.
"""
