"""Members that process by key in processes of their own, come, leave and are killed.

A member writes down what its handlers begin and end; the judge compares that with every commit of
the group, as the broker's own topic of commits has it, and with what is in the output topic.
"""
