"""A server's commit that fails is logged as the server's, and tried again."""

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
