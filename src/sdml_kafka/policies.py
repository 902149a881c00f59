"""Policies, as frozen values."""

from sdml_kafka.core.dedupe import Dedupe
from sdml_kafka.core.schedule import AutoCommit
from sdml_kafka.runtime import Restarts

__all__ = ["AutoCommit", "Dedupe", "Restarts"]
