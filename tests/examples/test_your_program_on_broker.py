"""The example of a program's tests, run as a part of these."""

import pytest

from examples.test_your_program import bootstrap, test_in_memory, test_on_a_real_kafka

__all__ = ["bootstrap", "test_in_memory", "test_on_a_real_kafka"]

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]
