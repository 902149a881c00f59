"""Find settings of topics that do not suit what this package does with them. Pure.

What a topic is for is read from its name: dead letters, retry topics and replies have names of this
package's, and of Spring's.
"""

import re
from collections.abc import Mapping

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.cli.doctor.rules.finding import (
    Findings,
    duration,
    error,
    note,
    number_of,
    warning,
)

_DEAD_LETTERS = re.compile(r"[-._](dlt|dlq)$", re.IGNORECASE)
_RETRIES = re.compile(r"-retry-(?P<delay_ms>[0-9]{1,15})$")
_WAITING = re.compile(r"-retry(-[0-9]{1,15})?$")
_REPLIES = re.compile(r"^sdml-rpc-|[-._]repl(y|ies)$")
_DAY_MS = 24 * 3600 * 1000
LEAST_DEAD_LETTERS_MS = 3 * _DAY_MS
"""A weekend, after which somebody looks at dead letters."""
_OVERHEAD = 12
"""Kafka's default of max.message.bytes is a MiB and what a batch has beside its records."""


def is_retry_topic(name: str) -> bool:
    """Return whether records of the topic wait on purpose, until their next attempt is due."""
    return _WAITING.search(name) is not None


def check_sizes(facts: Facts) -> Findings:
    """Compare the largest batch that each topic takes with the largest that our producer sends."""
    ours = facts.ours.number("max_request_size")
    for name, config in facts.configs.items():
        theirs = number_of(config.values, "max.message.bytes")
        if not theirs or not ours:
            continue
        if theirs < ours:
            yield warning(
                "size-smaller",
                f"topic {name}",
                f"it takes {theirs:,} bytes at most (max.message.bytes), and our producer sends up "
                f"to {ours:,} (max_request_size): the broker refuses what is between",
                f"raise max.message.bytes of the topic, or set max_request_size to {theirs}",
            )
        elif theirs > ours + _OVERHEAD:
            yield note(
                "size-larger",
                f"topic {name}",
                f"it takes {theirs:,} bytes (max.message.bytes), and our producer refuses more "
                f"than {ours:,} (max_request_size)",
                f"set max_request_size to {theirs} where such records are sent",
            )


def check_uses(facts: Facts) -> Findings:
    """Find settings that do not suit dead letters, retry topics, replies and other records."""
    for name, config in facts.configs.items():
        if not config.values:
            continue
        if (retry := _RETRIES.search(name)) is not None:
            yield from _retries(name, config.values, int(retry["delay_ms"]))
        elif _DEAD_LETTERS.search(name):
            yield from _dead_letters(name, config.values)
        elif _REPLIES.search(name):
            yield from _compacted(name, config.values, "replies")
        elif _is_compacted(config.values):
            yield note(
                "compacted",
                f"topic {name}",
                "it keeps the latest record of each key (cleanup.policy), and refuses records "
                "without a key",
                "give each record a key; lag counts records that are gone by now",
            )


def _retries(name: str, values: Mapping[str, str], delay_ms: int) -> Findings:
    yield from _compacted(name, values, "retry records")
    retention_ms = number_of(values, "retention.ms") or 0
    if "delete" in values.get("cleanup.policy", "") and 0 < retention_ms < 2 * delay_ms:
        yield error(
            "retention-short",
            f"topic {name}",
            f"records may be deleted after {duration(retention_ms)} (retention.ms), and their next "
            f"attempt is due after {duration(delay_ms)}",
            "raise retention.ms to several times the delay",
        )


def _dead_letters(name: str, values: Mapping[str, str]) -> Findings:
    yield from _compacted(name, values, "dead letters")
    retention_ms = number_of(values, "retention.ms") or 0
    if "delete" in values.get("cleanup.policy", "") and 0 < retention_ms < LEAST_DEAD_LETTERS_MS:
        yield warning(
            "retention-short",
            f"topic {name}",
            f"dead letters are deleted after {duration(retention_ms)} (retention.ms)",
            "raise retention.ms to the time within which somebody surely looks at them",
        )


def _compacted(name: str, values: Mapping[str, str], what: str) -> Findings:
    if _is_compacted(values):
        yield error(
            "compacted",
            f"topic {name}",
            f"it keeps the latest record of each key alone (cleanup.policy): {what} with the same "
            "key are lost, and those without a key are refused",
            "set cleanup.policy to delete",
        )


def _is_compacted(values: Mapping[str, str]) -> bool:
    return "compact" in values.get("cleanup.policy", "")
