"""Arguments out of their range are refused with a text that says what is allowed."""

from typing import Any

import pytest

from sdml_kafka.runtime import (
    ChildSpec,
    Restarts,
    Supervisor,
)
from tests.support.runtime_stage import Puppet


def no_actor() -> Puppet:
    raise AssertionError


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"max_restarts": -1}, "max_restarts must be 0 or more, not -1"),
        ({"window_s": float("nan")}, "window_s must be a finite number of seconds"),
        ({"backoff_s": -0.1}, "backoff_s must be a finite number of seconds, 0 or more, not -0.1"),
        ({"backoff_max_s": float("inf")}, "backoff_max_s must be a finite"),
        ({"backoff_s": 2.0, "backoff_max_s": 1.0}, "must not be less than backoff_s"),
        ({"jitter": 1.5}, "jitter must be from 0 to 1, not 1.5"),
    ],
)
def test_restarts_are_validated(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Restarts(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"name": ""}, "name must not be empty"),
        ({"factory": object()}, "factory must be .*: write lambda: object"),
        ({"restart": "always"}, "restart must be one of 'permanent', 'transient', 'temporary'"),
        ({"start_timeout_s": float("inf")}, "start_timeout_s must be a finite"),
        ({"stop_timeout_s": -1}, "stop_timeout_s must be a finite"),
    ],
)
def test_child_specs_are_validated(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ChildSpec(**{"name": "a", "factory": no_actor, **settings})


def test_supervisors_are_validated() -> None:
    twice = [ChildSpec("a", no_actor), ChildSpec("a", no_actor), ChildSpec("b", no_actor)]
    with pytest.raises(ValueError, match=r"unique names; not so: \['a'\]"):
        Supervisor("root", twice)
    with pytest.raises(ValueError, match="name must not be empty"):
        Supervisor("", [])
    with pytest.raises(ValueError, match=r"children of 'root' must be ChildSpecs, not .*Puppet"):
        Supervisor("root", [Puppet])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="strategy must be one of 'one_for_one'"):
        Supervisor("root", [], strategy="all")  # type: ignore[arg-type]
