"""The texts of the runtime's errors, and their way between processes."""

import pickle

import pytest

from sdml_kafka.runtime import (
    RestartsExhausted,
    RuntimeFailure,
    StartTimeout,
    SupervisorReused,
    UnaskedCancellation,
    UnexpectedExit,
)


@pytest.mark.parametrize(
    "error",
    [
        RestartsExhausted("a", 5, 60.0),
        StartTimeout("a", 10.0),
        UnexpectedExit("a"),
        UnaskedCancellation("a"),
        SupervisorReused("a"),
    ],
)
def test_errors_name_the_actor_and_survive_pickling(error: RuntimeFailure) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(error, RuntimeFailure)
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)
    assert "'a'" in str(error)
