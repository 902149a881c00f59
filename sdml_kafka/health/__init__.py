"""Health: whether a listener, a client, a server or a producer does its work, and why not.

Pure rules over what each shows of itself: they wait for nothing and ask no clock. The public
classes use them in `health()`, and `observability` writes the answers down. They know nothing of
HTTP, of JSON, or of the classes whose health they judge.
"""
