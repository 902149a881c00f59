"""The causes that explain a repeated record or a call without a reply."""

from enum import StrEnum


class Cause(StrEnum):
    REBALANCE = "rebalance"
    CRASH = "actor crash"
    BROKER = "broker restart"
    WRITTEN_TWICE = "written twice by its producer"
    UNEXPLAINED = "unexplained"
