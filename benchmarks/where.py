"""Tells where time goes from the stacks that were sampled."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import Factory, frozen

from benchmarks.sampling import Stack

COLLECTOR = "garbage collector"
WAKING = "falling asleep, waking"
KERNEL = "sockets (kernel)"
LOOP = "event loop"
PARSER = "JSON (json, msgspec)"
USER = "user's code"
REST = "the rest"

_FRAME = re.compile(r"(?P<name>.*?) \((?P<file>.*?)(?::\d+)?\)")
_COLLECTING = re.compile(r"_?gc_collect|deduce_unreachable")
_WAITING = re.compile(r"pthread_cond_(timed)?wait|sem_|clock_nanosleep|epoll_p?wait")
_WAITING_FUNCTIONS = re.compile(
    r"select \(.*/selectors\.py|get_events \(.*/trio/|/(threading|queue|_thread_cache)\.py"
)
_SYSTEM_CALLS = re.compile(r"((send|recv)(to|from|msg)?|writev?|epoll_ctl) \(.*\.so")
_INSTALLED = re.compile(r".*/(site-packages|python3\.\d+)/")
_OURS = re.compile(r".*sdml_kafka[./](?P<path>.*)")
_AIOKAFKA = re.compile(r"/aiokafka/(?P<part>\w+)")
_LOOPS = re.compile(
    r"/(asyncio|_asyncio\w*|uvloop|trio|trio_asyncio|anyio|outcome|sniffio|selectors|concurrent)[/.]"
)
_PARSERS = re.compile(r"/(msgspec|json)/|/_json\.")
_USERS = re.compile(r"/benchmarks/(\w+\.py)")


def owner(frame: str) -> tuple[str, str] | None:
    """Return the group that a frame belongs to and the name of the function.

    None if the frame works for whoever called it, such as a function of the C library.
    """
    match = _FRAME.fullmatch(frame)
    if match is None:
        return None
    name, file = match["name"], _INSTALLED.sub("/", match["file"])
    if (user := _USERS.search(file)) is not None:
        return USER, f"{name} ({user[0][1:]})"
    if (ours := _OURS.search(file)) is not None:
        path = ours["path"].rstrip(">").replace("/", ".")
        folder = path.removesuffix(".py").rpartition(".")[0]
        if path.endswith(".py"):
            return f"ours: {folder or 'the top'}", f"{name} ({ours['path']})"
        # A method that attrs has generated: the class, and not the file, is at the end.
        return f"ours: {folder.rpartition('.')[0]}", f"{path.rpartition('.')[2]}.{name} (attrs)"
    if (aiokafka := _AIOKAFKA.search(file)) is not None:
        group = aiokafka["part"] if aiokafka["part"] in _PARTS else "connections"
        return f"aiokafka: {group}", f"{name} ({file[aiokafka.start() + 1 :]})"
    if (parser := _PARSERS.search(file)) is not None:
        return PARSER, parser[1] or "json"
    if (loop := _LOOPS.search(file)) is not None:
        return LOOP, f"{name} ({file[loop.start() + 1 :]})"
    return None


_PARTS = ("record", "protocol", "consumer", "producer")


def attribute(frames: Sequence[str]) -> tuple[str, str] | None:
    """Return the group and the function that a stack's time belongs to, or None if it waits.

    The innermost function that has an owner pays for the C code and the standard library beneath
    it. Only system calls and the garbage collector have a group of their own.
    """
    kernel = False
    found: tuple[str, str] | None = None
    for frame in reversed(frames):
        if _COLLECTING.match(frame):
            return COLLECTOR, COLLECTOR
        if found is None:
            if _WAITING.match(frame):
                return None
            kernel = kernel or _SYSTEM_CALLS.match(frame) is not None
            found = owner(frame)
    group, function = found or (REST, frames[-1] if frames else REST)
    return (KERNEL, function) if kernel else (group, function)


@frozen
class Shares:
    """Where the CPU time of one process is, from both ways of sampling.

    Whether a thread computes or falls asleep and wakes is counted where the process is not stopped.
    What it computes is counted where C code is seen.
    """

    running: Counter[tuple[str, bool]] = Factory(Counter[tuple[str, bool]])
    """Samples by thread, and whether it was in a function that waits."""
    computing: Counter[tuple[str, str, str]] = Factory(Counter[tuple[str, str, str]])
    """Samples by thread, group and function."""

    def add_light(self, stacks: Mapping[Stack, int]) -> None:
        """Add the samples for which the process was not stopped."""
        for stack, count in stacks.items():
            innermost = stack.frames[-1] if stack.frames else ""
            self.running[stack.thread, _WAITING_FUNCTIONS.search(innermost) is not None] += count

    def add_native(self, stacks: Mapping[Stack, int]) -> None:
        """Add the samples that show C code."""
        for stack, count in stacks.items():
            if (found := attribute(stack.frames)) is not None:
                self.computing[stack.thread, *found] += count

    def groups(self) -> dict[str, float]:
        """Return the share of each group in the CPU time."""
        shares: dict[str, float] = defaultdict(float)
        for (_, group, _), share in self._weighted():
            shares[group] += share
        return shares

    def functions(self) -> dict[str, float]:
        """Return the share of each function in the CPU time."""
        shares: dict[str, float] = defaultdict(float)
        for (_, _, function), share in self._weighted():
            shares[function] += share
        return shares

    def threads(self) -> dict[str, float]:
        """Return the share of each thread in the CPU time."""
        shares: dict[str, float] = defaultdict(float)
        for (thread, _), count in self.running.items():
            shares[thread] += count / self.running.total()
        return shares

    def _weighted(self) -> Iterator[tuple[tuple[str, str, str], float]]:
        of_thread: Counter[str] = Counter()
        for (thread, _, _), count in self.computing.items():
            of_thread[thread] += count
        total = max(self.running.total(), 1)
        for key, count in self.computing.items():
            yield key, self.running[key[0], False] / total * count / of_thread[key[0]]
        for (thread, waits), count in self.running.items():
            if waits:
                yield (thread, WAKING, WAKING), count / total


@frozen
class Profile:
    """Where the time of one process goes."""

    name: str
    cpu_us: float
    """CPU time for each record or call, measured without sampling."""
    shares: Shares

    def cell(self, share: float) -> str:
        """Return microseconds and the percentage of a share."""
        return f"{share * self.cpu_us:.2f} ({share:.0%})"


SMALLEST = 0.01
"""The share in some column from which on a group has a row of its own."""
DEAREST = 10


def table(profiles: Sequence[Profile], per: str) -> str:
    """Return a table in Markdown: a row for each group, a column for each process."""
    columns = [each.shares.groups() for each in profiles]
    groups = {group for column in columns for group in column if group != REST}
    large = {g for g in groups if any(column.get(g, 0.0) >= SMALLEST for column in columns)}
    rows = [(f"us a {per}", *(each.name for each in profiles)), ("---", *["---:"] * len(profiles))]

    def add(heading: str, shares: Iterable[float]) -> None:
        cells = (each.cell(share) for each, share in zip(profiles, shares, strict=True))
        rows.append((heading, *cells))

    for group in sorted(large, key=_order):
        add(group, (column.get(group, 0.0) for column in columns))
    add(REST, (1 - sum(column.get(g, 0.0) for g in large) for column in columns))
    rows.append(("**CPU time**", *(f"**{each.cpu_us:.2f}**" for each in profiles)))
    threads = [each.shares.threads() for each in profiles]
    for thread in sorted({t for each in threads for t, share in each.items() if share > SMALLEST}):
        add(f"of it in {thread}", (each.get(thread, 0.0) for each in threads))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _order(group: str) -> tuple[int, str]:
    first = (WAKING, KERNEL, LOOP, "aiokafka", "ours", PARSER, USER, COLLECTOR)
    return next(at for at, name in enumerate(first) if group.startswith(name)), group


def dearest(profile: Profile) -> str:
    """Return the dearest functions as a list in Markdown."""
    functions = sorted(profile.shares.functions().items(), key=lambda item: -item[1])
    lines = [f"{profile.name}, the dearest functions in us:", ""]
    lines += [f"- {profile.cell(share)} `{function}`" for function, share in functions[:DEAREST]]
    return "\n".join(lines)
