"""Writes findings down, for people and for programs. Pure.

What comes from the wire is escaped: everything but ASCII, and control characters.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.cli.doctor.rules.finding import Finding, Severity
from sdml_kafka.cli.doctor.summary import as_data, as_lines
from sdml_kafka.plurals import counted
from sdml_kafka.printable import one_line

SCHEMA = 1
"""The number of the shape of the JSON; it changes when something is taken away or means another."""
MAX_TEXT = 2000
"""Characters of a text that are written."""
FINE, ERRORS, WARNINGS = 0, 1, 3


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if there are errors, else 3 if there are warnings, else 0."""
    worst = max((each.severity for each in findings), default=Severity.NOTE)
    return {Severity.ERROR: ERRORS, Severity.WARNING: WARNINGS}.get(worst, FINE)


def as_json(facts: Facts, findings: Sequence[Finding]) -> bytes:
    """Return everything as one line of printable ASCII."""
    counts = Counter(each.severity for each in findings)
    document = {
        "schema": SCHEMA,
        **as_data(facts),
        "findings": [
            {
                "severity": each.severity.name.lower(),
                "code": each.code,
                "about": each.about[:MAX_TEXT],
                "found": each.found[:MAX_TEXT],
                "change": each.change[:MAX_TEXT],
            }
            for each in findings
        ],
        "counts": {each.name.lower(): counts[each] for each in reversed(Severity)},
        "exit_code": exit_code(findings),
    }
    # DEL is the only control character that json does not escape.
    return json.dumps(document).replace("\x7f", "\\u007f").encode() + b"\n"


def as_text(facts: Facts, findings: Sequence[Finding]) -> bytes:
    """Return everything as lines of printable ASCII."""
    lines = (f"{one_line(line[:MAX_TEXT])}\n" for line in _lines(facts, findings))
    return "".join(lines).encode("ascii", "backslashreplace")


def _lines(facts: Facts, findings: Sequence[Finding]) -> Iterator[str]:
    yield from as_lines(facts)
    for each in findings:
        yield ""
        yield f"{each.severity.name:<8} {each.about}: {each.found}"
        yield f"{'':<8} -> {each.change} [{each.code}]"
    counts = Counter(each.severity for each in findings)
    yield ""
    yield ", ".join(counted(counts[each], each.name.lower()) for each in reversed(Severity))
