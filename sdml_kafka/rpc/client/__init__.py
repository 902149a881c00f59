"""The client: `KafkaRPC` makes calls and finds the reply to each.

`client` checks what a program asks for, `actor_tree` builds and wires the actors, and
`pending_calls` holds the calls that wait. Programs use it through `sdml_kafka`. It must not know
the server, the listener, nor a header's name, which the dialects keep.
"""
