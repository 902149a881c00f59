"""The contracts of the port in `transport/interfaces/`, as test classes.

A driver's own tests derive from them, with a `world` that says how to act on its broker. The
contracts know no driver; the two `aiokafka_*_world.py` are shared by several test modules.
"""
