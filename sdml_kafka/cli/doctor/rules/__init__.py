"""From facts to findings: one module for each kind of trouble. Pure.

The command calls `findings_of` in `all_rules.py`, tests call the single rules. The rules know
neither brokers nor clocks, nor how a finding is shown.
"""
