"""Whose the time of a sampled stack is."""

import pytest

from benchmarks import where
from benchmarks.sampling import Stack, read_stacks
from benchmarks.where import Profile, Shares, attribute

LIBRARIES = "/sdml_kafka/venv/lib/python3.12/site-packages"
RUN = "BaseEventLoop._run_once (/usr/lib/python3.12/asyncio/base_events.py:1909)"
SELECT = "EpollSelector.select (/usr/lib/python3.12/selectors.py:451)"
WRITE = "_SelectorSocketTransport.write (/usr/lib/python3.12/asyncio/selector_events.py:1060)"
SEND = "send (/usr/lib/x86_64-linux-gnu/libc.so.6)"
NEXT = "Reader.__anext__ (/sdml_kafka/sdml_kafka/listener/reader.py:95)"
USER = "by_listener (/sdml_kafka/benchmarks/reading.py:124)"


@pytest.mark.parametrize(
    ("frames", "group", "function"),
    [
        ([RUN, USER, NEXT], "ours: listener", "Reader.__anext__ (listener/reader.py)"),
        ([RUN, NEXT, "malloc (/lib/libc.so.6)"], "ours: listener", "__anext__"),
        ([RUN, USER], where.USER, "by_listener (benchmarks/reading.py)"),
        (
            [RUN, WRITE, "sock_call_ex (/src/Modules/socketmodule.c:975)", SEND],
            where.KERNEL,
            "write",
        ),
        ([RUN, NEXT, f"decode ({LIBRARIES}/msgspec/_core.so)"], where.PARSER, "msgspec"),
        ([RUN, "scan (/src/Modules/_json.c:1046)"], where.PARSER, "json"),
        ([RUN, NEXT, "gc_collect_main (/usr/lib/libpython3.12.so)"], where.COLLECTOR, "garbage"),
        (
            [RUN, f"Bytes.decode ({LIBRARIES}/aiokafka/protocol/types.py:155)"],
            "aiokafka: protocol",
            "",
        ),
        ([RUN, "next (/project/aiokafka/record/_crecords/x.c:9)"], "aiokafka: record", "next"),
        ([RUN, f"send ({LIBRARIES}/aiokafka/client.py:9)"], "aiokafka: connections", "send"),
        (
            ["poll (/checkout/sdml_kafka/transport/aiokafka/consumer/driver.py:9)"],
            "ours: transport.aiokafka.consumer",
            "poll (transport/aiokafka/consumer/driver.py)",
        ),
        (
            ["__init__ (<attrs generated methods sdml_kafka.consuming.offsets.chunks.Chunk>:16)"],
            "ours: consuming.offsets",
            "Chunk.__init__ (attrs)",
        ),
        (["0x7f00 (/usr/lib/libc.so.6)"], where.REST, "0x7f00"),
    ],
)
def test_the_innermost_function_with_an_owner_pays(
    frames: list[str], group: str, function: str
) -> None:
    found = attribute(frames)
    assert found is not None
    assert found[0] == group
    assert function in found[1]


def test_a_stack_that_waits_has_no_owner() -> None:
    assert attribute([RUN, SELECT, "epoll_wait (/usr/lib/libc.so.6)"]) is None


def test_what_py_spy_writes_is_read() -> None:
    lines = iter([f"thread (7): MainThread;{RUN};{USER} 3\n", "thread (8): home;<idle> 2\n"])
    assert read_stacks(lines) == {
        Stack("MainThread", (RUN, USER)): 3,
        Stack("home", ("<idle>",)): 2,
    }


def test_threads_weigh_as_much_as_they_ran() -> None:
    shares = Shares()
    shares.add_light({Stack("main", (RUN, USER)): 5, Stack("main", (RUN, SELECT)): 1})
    shares.add_light({Stack("home", (RUN,)): 4})
    shares.add_native({Stack("main", (RUN, USER)): 30, Stack("main", (RUN, NEXT)): 20})
    shares.add_native({Stack("home", (RUN,)): 1, Stack("idle", (RUN,)): 1000})
    assert dict(shares.groups()) == pytest.approx(
        {
            where.USER: 0.3,
            "ours: listener": 0.2,
            where.WAKING: 0.1,
            where.LOOP: 0.4,
        }
    )
    assert shares.threads() == pytest.approx({"main": 0.6, "home": 0.4})
    table = where.table([Profile("ours", 20.0, shares)], "record").splitlines()
    assert table[0] == "| us a record | ours |"
    assert "| ours: listener | 4.00 (20%) |" in table
    assert "| of it in home | 8.00 (40%) |" in table
    assert where.dearest(Profile("ours", 20.0, shares)).count("\n- ") == 4
