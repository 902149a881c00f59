"""All rules, and their findings in the order in which they are shown. Pure."""

from collections.abc import Callable, Sequence

from sdml_kafka.cli.doctor.facts import Facts
from sdml_kafka.cli.doctor.rules import access, brokers, clocks, groups, timeouts, topics, uses
from sdml_kafka.cli.doctor.rules.finding import Finding, Findings

Rule = Callable[[Facts], Findings]

RULES: Sequence[Rule] = (
    brokers.check_bootstrap,
    brokers.check_advertised,
    brokers.check_shared_addresses,
    brokers.check_agreement,
    brokers.check_presence,
    brokers.check_absent,
    brokers.check_controllers,
    brokers.check_later_answers,
    brokers.check_speed,
    clocks.check_clock,
    topics.check_existence,
    topics.check_leaders,
    topics.check_copies,
    topics.check_other_topics,
    uses.check_sizes,
    uses.check_uses,
    access.check_topics,
    access.check_group,
    access.check_transactions,
    access.check_settings,
    access.check_cluster,
    groups.check_coordinator,
    groups.check_state,
    groups.check_protocols,
    groups.check_members,
    groups.check_shares,
    groups.check_offsets,
    groups.check_progress,
    timeouts.check_sessions,
    timeouts.check_new_sessions,
    timeouts.check_connections,
    timeouts.check_transactions,
    timeouts.check_offsets_retention,
    clocks.check_record_times,
    brokers.check_versions,
)


def findings_of(facts: Facts) -> Sequence[Finding]:
    """Return what all rules find, the worst first."""
    found = [finding for rule in RULES for finding in rule(facts)]
    return sorted(found, key=lambda finding: -finding.severity)
