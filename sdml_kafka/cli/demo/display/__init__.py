"""The picture of the demo: frames as frozen values, and the two displays that draw them.

The command picks the display, and `frame_source.py` makes the frames. Displays never look at the
participants themselves, only at frames.
"""
