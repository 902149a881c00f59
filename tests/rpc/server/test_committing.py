"""What a server commits: a commit that fails is tried again, and follows the log that there is."""

import pytest

from tests.support.client_by_hand import GROUP, P0, ask, echoing, new_broker
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_a_commit_that_failed_is_logged_as_the_servers_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = new_broker()
    async with echoing(broker):
        broker.fail_commits()
        ask(broker)
        await until(lambda: broker.committed(GROUP, P0))
    assert [(r.name, r.levelname) for r in caplog.records if "commit" in r.message] == [
        ("sdml_kafka.server", "WARNING")
    ]


async def test_a_commit_beyond_the_end_of_the_log_is_no_floor() -> None:
    broker = new_broker()
    broker.commit(GROUP, P0, 100)
    async with echoing(broker):
        ask(broker)
        await until(lambda: broker.committed(GROUP, P0) == 1)


async def test_transaction_markers_are_passed_over() -> None:
    broker = new_broker()
    async with echoing(broker):
        ask(broker)
        broker.skip_offsets(P0, 1)
        await until(lambda: broker.committed(GROUP, P0) == 2)
