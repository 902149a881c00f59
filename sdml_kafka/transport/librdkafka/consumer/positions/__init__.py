"""Where partitions are read from: at the start, after a rebalance and after a seek.

The driver uses it in the member's thread. It asks brokers by the member, and knows how far reading
has come by the exchange; nothing of how records are fetched, and of commits in flight.
"""
