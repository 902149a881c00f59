"""`sdml-kafka top`: shows in a terminal what a program's /status.json says.

It asks over HTTP again and again, and knows nothing of Kafka. Whatever comes is checked against the
document's shape first, and shown without acting on the terminal.
"""
