"""Where the former client had its types."""

from sdml_kafka.listener import AutoCommitDict as AutoCommitConfig
from sdml_kafka.parsing import ParserSpec

__all__ = ["AutoCommitConfig", "ParserSpec"]
