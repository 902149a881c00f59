"""Policies, as frozen values."""

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.rpc.server.dedupe import Dedupe
from sdml_kafka.runtime import Restarts

__all__ = ["AutoCommit", "Dedupe", "Restarts"]
