"""From assigned partitions over the ledger to commits: what listener and server share.

The consumer loop polls, the intake holds what was fetched, the ledger knows what has finished,
the committer commits it, and a drain waits for records in hand before their partitions are
released. Knows neither streams nor calls, neither parsers nor handlers.
"""
