"""Which aiokafka the tests run on."""

import aiokafka
import pytest

IS_OLD = tuple(map(int, aiokafka.__version__.split(".")[:2])) < (0, 14)
"""True if this is an aiokafka in whose place less is done: it does more in its own way."""

needs_newer_aiokafka = pytest.mark.skipif(
    IS_OLD, reason="before aiokafka 0.14 requests are made in aiokafka's own way"
)
