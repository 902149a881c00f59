#!/usr/bin/env bash
# trio-asyncio 0.16.0, trio 0.35.0: the import alone replaces functions of asyncio for the whole process. A program
# that uses asyncio and never trio runs on another event loop afterwards, one that runs on trio.
#
# Seen: before the import _UnixSelectorEventLoop, after it SyncTrioEventLoop
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "trio-asyncio==0.16.0" "trio==0.35.0"
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import sys
import warnings

warnings.simplefilter("ignore", DeprecationWarning)


async def loop_name() -> str:
    return type(asyncio.get_running_loop()).__name__


before = asyncio.run(loop_name())
import trio_asyncio  # noqa: E402, F401  its import is what is tried

after = asyncio.run(loop_name())
print(f"before the import {before}, after it {after}")
sys.exit((before, after) != ("_UnixSelectorEventLoop", "SyncTrioEventLoop"))
PYTHON
