"""A program of actors as users write it, which both type checkers pass in strict mode."""

from collections.abc import Sequence
from typing import assert_type

import anyio
from anyio.abc import ObjectSendStream
from attrs import frozen

from sdml_kafka.runtime import Actor, ChildSpec, Event, Life, Mailbox, Supervisor, supervise


@frozen
class Question:
    answer: ObjectSendStream[float]


class Averages(Actor):
    """Keeps the mean of what is sent to its mailbox."""

    def __init__(self, mailbox: Mailbox[float | Question]) -> None:
        self.mailbox = mailbox
        self.numbers: list[float] = []

    async def run(self, life: Life) -> None:
        life.started()
        with life.cancel_on_stop():
            async for message in self.mailbox:
                assert_type(message, float | Question)
                if isinstance(message, Question):
                    await message.answer.send(sum(self.numbers) / len(self.numbers))
                else:
                    self.numbers.append(message)


def look(event: Event) -> None:
    print("/".join(event.path))


async def mean_of(numbers: Sequence[float]) -> float:
    mailbox = Mailbox[float | Question](10)
    tree = Supervisor("tree", [ChildSpec("averages", lambda: Averages(mailbox))], on_event=look)
    send, receive = anyio.create_memory_object_stream[float](1)
    async with supervise(tree) as running:
        for number in numbers:
            await mailbox.send(number)
        await mailbox.send(Question(send))
        with send, receive, anyio.fail_after(5):
            mean = await receive.receive()
        [averages] = running.snapshot().children
        assert averages.inbox_capacity == 10
    mailbox.close()
    return mean
