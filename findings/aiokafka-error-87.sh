#!/usr/bin/env bash
# aiokafka 0.14.0: a broker answers code 87, INVALID_RECORD, to a record that breaks a rule of the topic, such as
# one without a key in a compacted topic. aiokafka has no class for that code and raises UnknownError, which says
# nothing of a record, and which the code -1 of an unexpected failure of the broker gives as well.
#
# Seen: 87 -> UnknownError; -1 -> UnknownError
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "aiokafka==0.14.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from aiokafka.errors import for_code

seen = {code: for_code(code).__name__ for code in (87, -1)}
print("; ".join(f"{code} -> {name}" for code, name in seen.items()))
sys.exit(seen != {87: "UnknownError", -1: "UnknownError"})
PYTHON
