"""Ask for prices, on asyncio: a server and a client in one program.

    uv run python examples/rpc_asyncio.py [bootstrap]

They could be two programs on two machines: they share only the name of a topic.
"""

import asyncio
import json
import sys
from contextlib import suppress

from sdml_kafka import Call, CallTimeout, KafkaRPC, KafkaRPCServer, RemoteError, parse_json

PRICES = {"apples": 2, "bread": 3, "cheese": 7}


def make_server(bootstrap: str) -> KafkaRPCServer:
    # Servers of one group share the requests: start as many as you like.
    server = KafkaRPCServer(bootstrap_servers=bootstrap, group_id="price-servers")

    @server.handler("prices", parser=parse_json)
    async def price(item: str, call: Call) -> bytes:
        if item == "dates":
            await asyncio.sleep(60)  # cancelled at the call's deadline
        if item not in PRICES:
            raise RemoteError("not_found", f"no {item} today")
        return json.dumps(PRICES[item]).encode()

    return server


async def ask(rpc: KafkaRPC, item: str) -> None:
    try:
        reply = await rpc.request("prices", json.dumps(item).encode(), res_timeout=2.0)
        print(f"{item}: {json.loads(reply)}", flush=True)
    except CallTimeout:
        print(f"{item}: deadline_exceeded", flush=True)
    except RemoteError as error:
        print(f"{item}: {error.status}", flush=True)


async def main(bootstrap: str) -> None:
    async with (
        make_server(bootstrap),
        KafkaRPC(bootstrap_servers=bootstrap) as rpc,
        asyncio.TaskGroup() as tasks,
    ):
        for item in ("apples", "bread", "cheese", "dates", "eggs"):
            tasks.create_task(ask(rpc, item))  # one client serves many calls at once


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"))
