"""How fast this package is beside bare aiokafka: `uv run python -m benchmarks --help`."""
