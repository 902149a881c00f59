"""Methods of hooks that nothing would call, and what ends the program."""

import logging
import sys

import pytest

from sdml_kafka import Finished, Hook, Retried
from tests.support.listener_on_twin import broker_with, listener_on, take_last
from tests.support.virtual_time import in_virtual_time


class Misspelt(Hook):
    def retry(self, event: Retried) -> None: ...

    def on_dead_lettered(self, event: object) -> None: ...

    def commit_fail(self, event: object) -> None: ...


class WithHelpers(Hook):
    def close(self) -> None: ...

    def record(self, event: object) -> None: ...

    def _retry(self) -> None: ...

    def retried(self, event: Retried) -> None: ...

    @property
    def delivery(self) -> None: ...


def test_a_method_that_looks_like_a_hooks_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sdml_kafka.hooks"):
        listener_on(broker_with(), hooks=[Misspelt()])
    lines = sorted(each.getMessage().partition("?")[0] for each in caplog.records)
    nothing = "which nothing calls: did you mean"
    assert lines == [
        f"the hook Misspelt has a method commit_fail, {nothing} commit_failed",
        f"the hook Misspelt has a method on_dead_lettered, {nothing} dead_lettered",
        f"the hook Misspelt has a method retry, {nothing} retried",
    ]


def test_helpers_are_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sdml_kafka.hooks"):
        listener_on(broker_with(), hooks=[WithHelpers()])
    assert caplog.records == []


@pytest.mark.anyio
@in_virtual_time
async def test_a_hook_may_end_the_program() -> None:
    class Ending(Hook):
        def finished(self, event: Finished) -> None:
            sys.exit(3)

    with pytest.raises(SystemExit) as ended:
        async with listener_on(broker_with("a", "b"), hooks=[Ending()]) as listener:
            await take_last(await listener.subscribe(str), 2)
    assert ended.value.code == 3
