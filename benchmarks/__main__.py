"""Runs the benchmarks: `uv run python -m benchmarks reading --rounds 7 --save results`."""

import argparse
import sys
from pathlib import Path
from platform import python_version

from aiokafka import __version__ as aiokafka_version

from benchmarks import calls, reading
from benchmarks.contest import BESIDE, as_json, table
from benchmarks.picture import picture
from sdml_kafka import json_library

BENCHMARKS = {"reading": reading, "calls": calls}


def note(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.__doc__, description=benchmark.__doc__)
        known = list(benchmark.CONTESTANTS)
        command.add_argument("--rounds", type=int, default=7)
        command.add_argument("--only", nargs="+", metavar="WORD", help="cases with all these words")
        command.add_argument(
            "--contestants", nargs="+", metavar="NAME", default=known, choices=known
        )
        command.add_argument("--save", type=Path, metavar="FOLDER", help="JSON, table and picture")
        command.add_argument(
            "--beside",
            type=Path,
            metavar="CHECKOUT",
            help="let the package of another checkout take turns as well",
        )
    compare(parser.parse_args())


def compare(options: argparse.Namespace) -> None:
    """Let the contestants take turns, print the table, and save it with its data and a picture."""
    benchmark = BENCHMARKS[options.what]
    cases = [c for c in benchmark.CASES if all(word in str(c) for word in options.only or ())]
    names: list[str] = options.contestants
    if options.beside is not None:
        names = [*names, *(name + BESIDE for name in names if "by hand" not in name)]
    results = benchmark.run(options.rounds, names, cases, note, options.beside)
    text = table(results, benchmark.COLUMNS)
    print(text)
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
        (folder / f"{options.what}.md").write_text(text + "\n")
        (folder / f"{options.what}.svg").write_text(picture(results))


if __name__ == "__main__":
    main()
