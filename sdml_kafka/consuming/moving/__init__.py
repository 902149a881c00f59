"""Changes to the reading itself: pausing partitions, and reading from elsewhere on.

For the consumer loop, whose partitions it moves, and for the listener's public calls. It must not
know of streams and processors: it has records withdrawn, and waits until those in hand finish.
"""
