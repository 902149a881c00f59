"""`sdml-kafka demo`: records and calls on a real Kafka, while things go wrong.

The command line uses it. `plan.py` says what happens when and `director.py` makes it happen;
`load/` sends, `participants/` read, answer and call, `books/` count, `display/` shows. The demo
knows Kafka only through the package's own API: the public classes, and the transport's port.
"""
