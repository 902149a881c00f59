"""The command line: `sdml-kafka demo`, `listen`, `send`, `dead-letters`, `request` and others.

Each command has a folder: `arguments.py` says what can be typed, `command.py` carries it out. The
commands use the package as a program would; nothing else in the package knows of them. Modules
that only read the arguments import no Kafka client, so `--help` is fast.
"""
