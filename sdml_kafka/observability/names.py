"""Name the objects of a program, so that a person can tell those of one kind apart."""

from collections import Counter
from collections.abc import Sequence
from itertools import count

MAX_WORD = 100
"""The number of characters of what distinguishes an object."""


def distinct_names(objects: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Return a name for each object, no two of them equal.

    An object that is alone of its kind has the kind as its name: "listener". Of several each has
    the kind and the first word that no other of its kind has: "listener billing". A number follows
    where there is no such word: "producer 2".

    Args:
        objects: The kind of each, and the words that may distinguish it, the best first. A word
            that does not apply is empty.
    """
    kinds = Counter(kind for kind, _ in objects)
    words = Counter((kind, word) for kind, of in objects for word in {_short(each) for each in of})
    names = list[str]()
    for kind, of in objects:
        shown = [_short(each) for each in of if each]
        own = next((word for word in shown if words[kind, word] == 1), None)
        base = kind if kinds[kind] == 1 else f"{kind} {own or next(iter(shown), '')}".rstrip()
        numbered = (f"{base} {number}" for number in count(2))
        names.append(base if base not in names else next(n for n in numbered if n not in names))
    return names


def _short(word: str) -> str:
    return word if len(word) <= MAX_WORD else f"{word[: MAX_WORD - 1]}…"
