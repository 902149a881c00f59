#!/usr/bin/env bash
# trio-asyncio 0.16.0, trio 0.35.0: asyncio code on a trio-asyncio loop runs inside of a task of trio's. So
# trio.lowlevel.in_trio_task() is true there, though awaiting anything of trio's would fail. sniffio knows better.
#
# Seen: in_trio_task True, sniffio asyncio
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "trio-asyncio==0.16.0" "trio==0.35.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

warnings.simplefilter("ignore", DeprecationWarning)

import sniffio  # noqa: E402
import trio  # noqa: E402
import trio_asyncio  # noqa: E402


async def in_asyncio() -> tuple[bool, str]:
    return trio.lowlevel.in_trio_task(), sniffio.current_async_library()


async def main() -> tuple[bool, str]:
    async with trio_asyncio.open_loop():
        return await trio_asyncio.aio_as_trio(in_asyncio)()


in_trio_task, library = trio.run(main)
print(f"in_trio_task {in_trio_task}, sniffio {library}")
sys.exit((in_trio_task, library) != (True, "asyncio"))
PYTHON
