"""The ledger: which records were delivered, which have finished, and so what may be committed.

The intake opens tenancies in the ledger, listener and server deliver and finish records, and the
committer asks what has moved. Everything here is pure: no await, no clock, no client.
"""
