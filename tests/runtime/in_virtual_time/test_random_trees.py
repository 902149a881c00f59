"""Trees that fail at random: whatever happens, each life ends and no two of an actor overlap."""

import random
from typing import get_args

import anyio
import pytest

from sdml_kafka.runtime import (
    ActorState,
    ChildSpec,
    Restarts,
    RestartsExhausted,
    RestartType,
    Strategy,
    Supervisor,
    supervise,
)
from tests.support.runtime_stage import Stage

pytestmark = pytest.mark.anyio


class Fatal(Exception):
    pass


class Chaos:
    """A tree with a mind of its own, made from a seed."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.dice = random.Random(seed)
        self.stage = stage
        nested = ChildSpec("nested", lambda: self.make("nested", "efg"))
        self.root = self.make("root", "abcd", nested)

    def make(self, name: str, names: str, *more: ChildSpec) -> Supervisor:
        children = [self.spec(child) for child in names]
        children[2:2] = more
        return Supervisor(
            name,
            children,
            strategy=self.dice.choice(get_args(Strategy)),
            restarts=Restarts(self.dice.randrange(2, 8), window_s=20, backoff_s=0.3),
            is_fatal=lambda error: isinstance(error, Fatal),
        )

    def spec(self, name: str) -> ChildSpec:
        restart: RestartType = self.dice.choice(get_args(RestartType))
        return self.stage.spec(
            name,
            restart,
            on_start=self.start,
            on_stop=self.linger,
            heeds_stop=self.dice.random() < 0.9,
            start_timeout_s=1,
            stop_timeout_s=2,
        )

    async def linger(self) -> None:
        await anyio.sleep(self.dice.choice([0, 0, 0.2, 3]))

    async def start(self) -> None:
        if self.stage.log.count("entered") and self.dice.random() < 0.1:
            await anyio.sleep(self.dice.choice([0.5, 5]))
            raise OSError("cannot start")

    async def live(self, seconds: float) -> None:
        self.stage.log.append("entered")
        with anyio.move_on_after(seconds):
            while True:
                await anyio.sleep(self.dice.choice([0, 0.1, 1, 4]))
                name = self.dice.choice(list(self.stage.puppets))
                lot = self.dice.random()
                if lot < 0.02:
                    self.stage.crash(name, Fatal())
                elif lot < 0.5:
                    self.stage.crash(name)
                else:
                    self.stage.finish(name)


@pytest.mark.parametrize("seed", range(60))
async def test_every_life_ends_and_no_two_overlap(stage: Stage, seed: int) -> None:
    chaos = Chaos(stage, seed)
    outside = anyio.move_on_after(20 if seed % 2 else 1000)
    with outside:
        try:
            async with supervise(chaos.root, stop_timeout_s=10):
                await chaos.live(30)
        except (RestartsExhausted, Fatal):
            assert chaos.root.snapshot().state is ActorState.CRASHED
        else:
            assert chaos.root.snapshot().state is ActorState.STOPPED
    for name in "abcdefg":
        lives = [entry[0] for entry in stage.log if entry in (f"+{name}", f"-{name}")]
        assert lives == ["+", "-"] * (len(lives) // 2)
    over = {ActorState.STOPPED, ActorState.FINISHED, ActorState.CRASHED}
    assert {child.state for child in chaos.root.snapshot().children} <= over
