"""A KeyboardInterrupt or SystemExit in a child."""

import anyio
import pytest

from sdml_kafka.runtime import (
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_in_a_child_goes_up_at_once(
    stage: Stage, kind: type[BaseException]
) -> None:
    stubborn = stage.spec("a", heeds_stop=False, stop_timeout_s=100)
    supervisor = Supervisor("root", [stubborn, stage.spec("b")])
    with pytest.raises(kind, match="now"):
        async with supervise(supervisor, stop_timeout_s=100):
            stage.take()
            stage.crash("b", kind("now"))
            try:
                await anyio.sleep_forever()
            finally:
                stage.write("body left")
    assert stage.take() == ["!b", "-b", "body left", "-a"]


async def test_an_interrupt_while_stopping_ends_the_grace(stage: Stage) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt("now")

    stubborn = stage.spec("a", heeds_stop=False, stop_timeout_s=100)
    supervisor = Supervisor("root", [stubborn, stage.spec("b", on_stop=interrupt)])
    with pytest.raises(KeyboardInterrupt, match="now"):
        async with supervise(supervisor, stop_timeout_s=100):
            stage.take()
    assert stage.take() == ["-b", "-a"]


async def test_an_interrupt_in_the_start_of_a_child_comes_out_of_entering(stage: Stage) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt("now")

    with pytest.raises(KeyboardInterrupt, match="now"):
        async with supervise(
            Supervisor("root", [stage.spec("a"), stage.spec("b", on_start=interrupt)])
        ):
            pytest.fail("must not be entered")
    assert stage.take() == ["+a", "+b", "-b", "-a"]
