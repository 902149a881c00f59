"""How fast this package is beside bare aiokafka: `uv run python -m benchmarks --help`.

`reading`, `calls`, `sending`, `idle`, `start` and `memory` are benchmarks. Each has `CASES`,
`CONTESTANTS`, `COLUMNS` and `run`, which lets contestants take turns in processes of their own.
`contest` compares their samples, and `picture` draws them. `profile` samples processes
(`sampling`), and `where` tells whose the time is.
"""
