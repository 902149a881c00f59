"""The books of the demo: what was sent and finished, asked and answered, and why not.

Participants and senders enter what happens; the final report is made of the books. The modules
are pure: they never await and never look at a clock.
"""
