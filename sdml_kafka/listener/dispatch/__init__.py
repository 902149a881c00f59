"""From fetched records to the queues of streams and processors, as far as these have room.

The dispatcher is an actor that everybody wakes by its signal; a slice is what it hands on in one
step. Used by the listener's actor tree alone. Knows nothing of loops, and of handlers.
"""
