"""Tasks that take one item after another, as fast as calls of functions when nothing waits.

The RPC server answers requests with them, and whatever handles many things at once without a task
for each may use them. The folder knows nothing of Kafka, of calls or of records.
"""
