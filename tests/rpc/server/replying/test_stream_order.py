"""The order of a stream's replies, whichever of them fail, and whenever that is known."""

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.rpc.server.replying.stream_order import StreamOrder


@frozen
class Sent:
    number: int


class Model:
    """A partition, and what is on its way there: what arrives and what fails is known later."""

    def __init__(self, order: StreamOrder[Sent]) -> None:
        self.order = order
        self.log: list[int] = []
        self.on_way: list[tuple[Sent, bool]] = []
        self.added = 0
        self.had_one = False

    def add(self, *, fails: bool) -> None:
        reply = Sent(self.added)
        self.added += 1
        if self.order.add(reply):
            self.send(reply, fails=fails)

    def send(self, reply: Sent, *, fails: bool) -> None:
        assert not (self.order.goes_alone and self.on_way)
        self.on_way.append((reply, fails))
        if not fails:
            self.log.append(reply.number)

    def learn(self, index: int) -> None:
        if self.on_way:
            reply, fails = self.on_way.pop(index % len(self.on_way))
            (self.order.failed if fails else self.order.acknowledged)(reply)

    def go_on(self, *, fails: bool) -> None:
        if self.order.is_due:
            assert not self.on_way
            for reply in self.order.take():
                self.send(reply, fails=fails)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.booleans()),
        st.tuples(st.just("learn"), st.integers(0, 9)),
        st.tuples(st.just("go on"), st.booleans()),
    ),
    max_size=40,
)


@given(steps=STEPS, goes_alone=st.booleans())
def test_what_is_not_numbered_arrives_in_order_or_the_stream_breaks(
    steps: list[tuple[str, int]], goes_alone: bool
) -> None:
    model = Model(StreamOrder(None, False, goes_alone))
    for step, argument in [*steps, *[("learn", 0), ("go on", False)] * 100]:
        if step == "add":
            model.add(fails=bool(argument))
        elif step == "go on":
            model.go_on(fails=bool(argument))
        else:
            model.learn(argument)
        if (late := model.order.overtaken) is not None:
            assert max(model.log) > late.number
            assert late.number not in model.log
            assert late in model.order.drop()
            return
    assert model.log == list(range(model.added))
    assert not model.order.is_due


@given(steps=STEPS)
def test_what_is_numbered_arrives_in_whichever_order(steps: list[tuple[str, int]]) -> None:
    model = Model(StreamOrder(None, True, False))
    for step, argument in [*steps, *[("learn", 0), ("go on", False)] * 100]:
        if step == "add":
            model.add(fails=bool(argument))
        elif step == "go on":
            model.go_on(fails=bool(argument))
        else:
            model.learn(argument)
        assert model.order.overtaken is None
    assert sorted(model.log) == list(range(model.added))


def test_what_is_given_up_holds_up_nothing() -> None:
    order = StreamOrder[Sent](None, True, False)
    assert order.add(Sent(0))
    assert order.add(Sent(1))
    order.failed(Sent(1))
    assert not order.is_due
    order.given_up()
    assert order.is_due
    assert order.take() == [Sent(1)]
