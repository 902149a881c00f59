#!/usr/bin/env bash
# CPython 3.12.1 and 3.13.0: close() on a generator that was never started leaves its frame as it is. What the frame
# refers to stays alive as long as the generator does: an object that holds a generator of one of its own methods is
# in a circle, which close() does not break, and only the garbage collector frees it.
#
# Seen: never closed: kept; closed: kept; run to its end: freed; dropped: freed
set -euo pipefail
python3 - <<'PYTHON'
import gc
import sys
import weakref

gc.disable()


class Holder:
    def __init__(self):
        self.numbers = self.count()

    def count(self):
        yield 1


ENDS = {
    "never closed": lambda holder: None,
    "closed": lambda holder: holder.numbers.close(),
    "run to its end": lambda holder: list(holder.numbers),
    "dropped": lambda holder: delattr(holder, "numbers"),
}
seen = {}
for name, end in ENDS.items():
    holder = Holder()
    end(holder)
    watched = weakref.ref(holder)
    del holder
    seen[name] = "freed" if watched() is None else "kept"
print(sys.version.split()[0] + ": " + "; ".join(f"{name}: {what}" for name, what in seen.items()))
expected = {"never closed": "kept", "closed": "kept", "run to its end": "freed", "dropped": "freed"}
sys.exit(seen != expected)
PYTHON
