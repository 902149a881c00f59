"""KafkaRPCServer: reads requests, runs the program's handlers and sends their replies.

`server.py` is the public class, `actor_tree.py` builds and wires the rest. A request goes through
`request_queue.py`, `request_intake.py`, `handler_runner.py` and `replying`, led by
`call_lifecycle.py`. The folder must not know the RPC client, nor the listener.
"""
