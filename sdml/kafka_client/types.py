"""Where the former client had its types."""

from sdml_kafka.consuming.commit_schedule import AutoCommitDict as AutoCommitConfig
from sdml_kafka.parsing.parsers import ParserSpec

__all__ = ["AutoCommitConfig", "ParserSpec"]
