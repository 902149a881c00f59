"""`sdml-kafka dead-letters`: lists dead letters, shows one, and sends them anew.

The command line uses it. What dead letters are, and how they are sent, is in
`sdml_kafka/dead_letters/`; here is what is typed and written. It knows how `listen` writes, and
nothing of the other commands.
"""
