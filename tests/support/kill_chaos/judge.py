"""Says what must never happen, of what members wrote down, committed and sent."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import frozen

from sdml_kafka.consuming.offsets.offset_map import FULL_TEXT
from tests.support.commit_log import LoggedCommit
from tests.support.kill_chaos.member import BEGUN, ENDED

Place = tuple[int, int]
"""A partition and an offset."""
Stay = tuple[str, int]
"""A member and the epoch of its assignment."""


@frozen
class Event:
    what: str
    stay: Stay
    place: Place
    key: str
    time_ms: float


def read_events(lines: Iterable[str]) -> list[Event]:
    return [_event(line.split(" ")) for line in lines]


def _event(words: Sequence[str]) -> Event:
    what, name, epoch, partition, offset, key, time_ns = words
    place = int(partition), int(offset)
    return Event(what, (name, int(epoch)), place, key, int(time_ns) / 1e6)


def wrong_order(events: Sequence[Event]) -> list[str]:
    """Return where within a stay records of a key ran at once, or not in order."""
    wrong = list[str]()
    running, last = dict[object, Place](), dict[object, Place]()
    for event in events:  # a process writes in the order of what it does
        if event.key == "-":
            continue
        lane = (event.stay, event.place[0], event.key)
        if event.what == BEGUN:
            if lane in running:
                wrong.append(f"{event.place} began while {running[lane]} ran in {lane}")
            if event.place < last.get(lane, event.place):
                wrong.append(f"{event.place} began after {last[lane]} in {lane}")
            running[lane] = last[lane] = event.place
        elif running.pop(lane, None) != event.place:
            wrong.append(f"{event.place} ended without having begun in {lane}")
    return wrong


def wrong_repeats(
    events: Sequence[Event], killed: Collection[str], *, incremental: bool = False
) -> list[str]:
    """Return what came again though it had ended in a stay that no kill cut short.

    Where rebalances are incremental, each partition of a member has an epoch of its own.
    """
    last_epoch = dict[tuple[str, int | None], int]()
    for event in events:
        (name, epoch), partition = event.stay, event.place[0] if incremental else None
        last_epoch[name, partition] = max(epoch, last_epoch.get((name, partition), 0))

    def is_cut_short(event: Event) -> bool:
        (name, epoch), partition = event.stay, event.place[0] if incremental else None
        return name in killed and epoch == last_epoch[name, partition]

    ended, wrong = dict[Place, Stay](), list[str]()
    for event in sorted(events, key=lambda event: event.time_ms):
        before = ended.get(event.place)
        if before is not None and event.what == BEGUN:
            wrong.append(f"{event.place} ended in {before} and came again in {event.stay}")
        if event.what == ENDED and not is_cut_short(event):
            ended[event.place] = event.stay
    return wrong


def wrong_commits(
    commits: Sequence[LoggedCommit], outputs_ms: Mapping[Place, int], events: Sequence[Event]
) -> list[str]:
    """Return what was committed before its output was there, or began after it was committed."""
    wrong = list[str]()
    begun = defaultdict[Place, list[float]](list)
    for event in events:
        if event.what == BEGUN:
            begun[event.place].append(event.time_ms)
    frontiers, committed = defaultdict[int, int](int), set[Place]()
    for commit in commits:
        partition, before = commit.partition, frontiers[commit.partition]
        assert len(commit.metadata) < FULL_TEXT
        if commit.offset < before:
            wrong.append(f"[{partition}] {commit.offset} is committed after {before}")
        frontiers[partition] = commit.offset
        done = [range(before, commit.offset), *(range(*each) for each in commit.finished_beyond())]
        for place in [(partition, at) for some in done for at in some]:
            if place in committed:
                continue
            committed.add(place)
            if outputs_ms.get(place, commit.time_ms + 1) > commit.time_ms:
                wrong.append(f"{place} is committed without its output")
            # The clock of commits has whole milliseconds.
            if any(began >= commit.time_ms + 1 for began in begun[place]):
                wrong.append(f"{place} began after it was committed")
    return wrong
