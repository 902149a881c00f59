"""Measures and profiles: `uv run python -m benchmarks reading --rounds 7 --save results`."""

import argparse
import re
import sys
from pathlib import Path
from platform import python_version
from typing import Any

from aiokafka import __version__ as aiokafka_version
from confluent_kafka import libversion

from benchmarks import (
    calls,
    dialects,
    hooks,
    idle,
    joining,
    keys,
    memory,
    processing,
    profile,
    reading,
    sending,
    start,
    stuck_key,
    where,
)
from benchmarks.contest import BESIDE, Comparison, as_json, table
from benchmarks.event_loops import LIBRDKAFKA
from benchmarks.picture import picture
from sdml_kafka import json_library

BENCHMARKS: dict[str, Any] = {
    "reading": reading,
    "calls": calls,
    "dialects": dialects,
    "hooks": hooks,
    "processing": processing,
    "sending": sending,
    "keys": keys,
    "stuck-key": stuck_key,
    "idle": idle,
    "start": start,
    "joining": joining,
    "memory": memory,
}
PROFILED = ("reading", "calls")
RARE = frozenset({"uvloop", "trio-asyncio", "our parser"})
"""Parts of the names of contestants that are left out of profiles, and beside both clients."""
BOTH_CLIENTS = ("reading", "calls", "sending", "memory", "idle", "start", "joining")


def note(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.__doc__, description=benchmark.__doc__)
        add_options(command, list(benchmark.CONTESTANTS), what=name, file=name)
    both = commands.add_parser("clients", help="compare aiokafka and librdkafka, by hand and ours")
    kinds = both.add_subparsers(required=True)
    for name in BOTH_CLIENTS:
        kind, known = kinds.add_parser(name), list(BENCHMARKS[name].CONTESTANTS)
        few = [each for each in known if not RARE.intersection(each.split(", "))]
        add_options(kind, known, what=name, file=f"clients-{name}", contestants=few)
    choices = commands.add_parser("choices", help="compare settings of the listener")
    add_options(choices, list(reading.CHOICES), what="reading", file="choices")
    profiling = commands.add_parser("profile", help=profile.__doc__, description=profile.__doc__)
    kinds = profiling.add_subparsers(required=True)
    for name in PROFILED:
        kind, known = kinds.add_parser(name), list(BENCHMARKS[name].CONTESTANTS)
        few = [each for each in known if not {*RARE, LIBRDKAFKA}.intersection(each.split(", "))]
        file = f"profile-{name}"
        add_options(kind, known, what=name, file=file, rounds=5, contestants=few, run=show_profile)
    pages = commands.add_parser("page", help=into_page.__doc__)
    pages.add_argument("folder", type=Path, help="the FOLDER of --save")
    pages.set_defaults(run=into_page)
    options = parser.parse_args()
    options.run(options)


def add_options(parser: argparse.ArgumentParser, known: list[str], **defaults: Any) -> None:
    """Add the options that all measuring commands have."""
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="cases with all of these words")
    usual = [name for name in known if not name.endswith(LIBRDKAFKA)]
    parser.add_argument("--contestants", nargs="+", metavar="NAME", default=usual, choices=known)
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save the results")
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="CHECKOUT",
        help="let the package of another checkout take turns as well",
    )
    parser.set_defaults(**{"rounds": 7, "run": compare, **defaults})


def chosen(options: argparse.Namespace) -> tuple[list[Any], list[str]]:
    """Return the cases and the contestants that were asked for."""
    cases: list[Any] = [
        case
        for case in BENCHMARKS[options.what].CASES
        if all(word in str(case) for word in options.only or ())
    ]
    if not cases:
        raise SystemExit(f"No case has all of these words: {' '.join(options.only)}")
    names: list[str] = options.contestants
    if options.beside is not None:
        names = [*names, *(name + BESIDE for name in names if "by hand" not in name)]
    return cases, names


def compare(options: argparse.Namespace) -> None:
    """Let the contestants take turns, save what is there after each case, and print the table."""
    benchmark = BENCHMARKS[options.what]
    cases, names = chosen(options)
    about = {
        "rounds": options.rounds,
        "python": python_version(),
        "aiokafka": aiokafka_version,
        "librdkafka": libversion()[0],
        "json": json_library(),
    }
    results: list[Comparison] = []
    for of_case in benchmark.run(options.rounds, names, cases, note, options.beside):
        results += of_case
        text, data = table(results, benchmark.COLUMNS), as_json(results, **about)
        save(options, {"md": text + "\n", "json": data, "svg": picture(results)})
    print(text)


def show_profile(options: argparse.Namespace) -> None:
    """Print where the time of the first case goes."""
    cases, names = chosen(options)
    case = cases[0]
    arguments = options.rounds, names, case, note, options.beside
    if options.what == "reading":
        profiles, per = profile.profile_reading(*arguments), "record"
    else:
        profiles, per = profile.profile_calls(*arguments), "call"
    lists = [where.dearest(each) for each in profiles]
    text = "\n\n".join([f"**{case}**", where.table(profiles, per), *lists]) + "\n"
    print(text, end="")
    save(options, {"md": text})


def save(options: argparse.Namespace, texts: dict[str, str]) -> None:
    """Save results by their endings, if that was asked for."""
    if options.save is not None:
        folder: Path = options.save
        folder.mkdir(parents=True, exist_ok=True)
        for ending, text in texts.items():
            (folder / f"{options.file}.{ending}").write_text(text)


def into_page(options: argparse.Namespace) -> None:
    """Put the tables that were saved into docs/performance.md, in place of the older ones."""
    page = Path(__file__).parent.parent / "docs" / "performance.md"
    page.write_text(with_tables(page.read_text(), options.folder))


def with_tables(page: str, folder: Path) -> str:
    """Return a page with the tables between `<!-- begin NAME -->` and `<!-- end -->` renewed."""

    def table_of(match: re.Match[str]) -> str:
        file = folder / f"{match['name']}.md"
        if not file.exists():
            return match[0]
        return f"{match['begin']}\n\n{file.read_text().strip()}\n\n{match['end']}"

    block = r"(?P<begin><!-- begin (?P<name>\S+) -->).*?(?P<end><!-- end -->)"
    return re.sub(block, table_of, page, flags=re.DOTALL)


if __name__ == "__main__":
    main()
