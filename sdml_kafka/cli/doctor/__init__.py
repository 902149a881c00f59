"""`sdml-kafka doctor`: says what is wrong between this client, a Kafka, its topics and a group.

The command line uses it. It asks brokers what they say of themselves (`examination.py`), and rules
that never wait make findings of the answers (`rules/`). Nothing is written, joined or created. It
knows nothing of the other commands.
"""
