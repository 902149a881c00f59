#!/usr/bin/env bash
# anyio 4.16.0: a thread that nobody waits for any more (abandon_on_cancel=True) runs on. On trio it keeps its place in
# the limiter until it ends; on asyncio the place is free at once, so that a limiter of one has any number of threads.
#
# Seen: asyncio: 3 threads run under a limiter of 1; trio: 1
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "anyio==4.16.0" "trio==0.35.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from threading import Event

import anyio
import anyio.to_thread


async def main() -> int:
    limiter, go_on, running = anyio.CapacityLimiter(1), Event(), []

    def run() -> None:
        running.append(None)
        go_on.wait()

    for _ in range(3):
        with anyio.move_on_after(0.5):
            await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=limiter)
    count = len(running)
    go_on.set()
    return count


seen = {backend: anyio.run(main, backend=backend) for backend in ("asyncio", "trio")}
print(f"asyncio: {seen['asyncio']} threads run under a limiter of 1; trio: {seen['trio']}")
sys.exit(seen != {"asyncio": 3, "trio": 1})
PYTHON
