"""The participants of the demo: members of a listener group, servers, and a client.

The director lets them join, leave and fail. They enter in the books what they do, and know nothing
of the plan and of the display.
"""
