"""The memory of answers, against a naive model."""

from collections.abc import Hashable

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka import Dedupe
from sdml_kafka.rpc.server.dedupe import Repeats

KEYS = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), KEYS, st.just(0)),
        st.tuples(st.just("end"), KEYS, st.integers(0, 12)),
        st.tuples(st.just("forget"), KEYS, st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.integers(0, 5)),
    ),
    max_size=60,
)


@define
class Model:
    """A memory that keeps everything, and searches it."""

    most: int
    keep_s: float
    most_bytes: int
    running: dict[Hashable, list[int]] = field(factory=dict)
    answers: list[tuple[str, int, int, float]] = field(factory=list)

    def kept(self, now: float) -> list[tuple[str, int, int, float]]:
        return [entry for entry in self.answers if entry[3] + self.keep_s > now]

    def begin(self, key: str, waiting: int, now: float) -> int | bool:
        for name, answer, _, _ in self.kept(now):
            if name == key:
                return answer
        if key in self.running:
            self.running[key].append(waiting)
            return False
        self.running[key] = []
        return True

    def end(self, key: str, answer: int | None, size: int, now: float) -> list[int]:
        if answer is not None and size <= self.most_bytes:
            self.answers = [*self.kept(now), (key, answer, size, now)]
            while len(self.answers) > self.most or sum(e[2] for e in self.answers) > (
                self.most_bytes
            ):
                self.answers.pop(0)
        return self.running.pop(key, [])


@given(STEPS, st.integers(1, 3), st.integers(1, 20), st.integers(1, 10))
def test_as_a_naive_one(
    steps: list[tuple[str, str, int]], most: int, most_bytes: int, keep_s: int
) -> None:
    repeats = Repeats[int, int](Dedupe(most, float(keep_s), most_bytes))
    model = Model(most, float(keep_s), most_bytes)
    now = 0.0
    for number, (step, key, amount) in enumerate(steps, start=10):
        if step == "begin":
            assert repeats.begin(key, number, now) == model.begin(key, number, now)
        elif step == "wait":
            now += amount
        elif key in model.running:  # only what runs can end
            answer = number if step == "end" else None
            assert repeats.end(key, answer, amount, now) == model.end(key, answer, amount, now)
        assert len(repeats) <= most


def test_it_stays_small() -> None:
    repeats = Repeats[int, bytes](Dedupe(most=10, keep_s=1.0, most_bytes=1000))
    for number in range(10_000):
        assert repeats.begin(number, number, float(number)) is True
        repeats.end(number, b"x" * 200, 200, float(number))
    assert len(repeats) == 1
    assert repeats._bytes == 200
    assert repeats._running == {}
