"""Dead letters: what one says of its record, and sending records anew, each once.

`sdml-kafka dead-letters` and the live page use it. It builds on the public `KafkaListener`, and on
the port. It knows nothing of terminals, command lines and HTTP.
"""
