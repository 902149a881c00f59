"""Runs the benchmarks: `uv run python -m benchmarks reading --rounds 7 --save results`."""

import argparse
import sys
from pathlib import Path
from platform import python_version

from aiokafka import __version__ as aiokafka_version

from benchmarks import reading
from benchmarks.contest import as_json, table
from benchmarks.picture import picture
from sdml_kafka import json_library


def note(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run what is asked for, print the table, and save it with its data and a picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=["reading"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="cases with all of these words")
    parser.add_argument("--contestants", nargs="+", default=list(reading.CONTESTANTS))
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save JSON, table and picture")
    options = parser.parse_args()
    cases = [c for c in reading.CASES if all(word in str(c) for word in options.only or ())]
    results = reading.run(options.rounds, options.contestants, cases, note)
    print(table(results))
    if options.save is not None:
        folder: Path = options.save
        folder.mkdir(parents=True, exist_ok=True)
        about = {
            "rounds": options.rounds,
            "python": python_version(),
            "aiokafka": aiokafka_version,
            "json": json_library(),
        }
        (folder / f"{options.what}.json").write_text(as_json(results, **about))
        (folder / f"{options.what}.md").write_text(table(results) + "\n")
        (folder / f"{options.what}.svg").write_text(picture(results))


if __name__ == "__main__":
    main()
