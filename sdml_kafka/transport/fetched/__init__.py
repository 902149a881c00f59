"""Records as they were fetched.

They wait as columns, since a record object for each would cost as much as fetching it. Whoever asks
for a record gets one that looks like aiokafka's.
"""
