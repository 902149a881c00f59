"""Dictionaries that are bounded, and that several threads may use at once. Pure."""


def remember[K, V](known: dict[K, V], key: K, value: V, most: int) -> None:
    """Remember a value, and forget the oldest if there are too many.

    Threads share such a dictionary without a lock, which a forked process could find held for good.
    So each step stands alone: another thread may have forgotten the same one meanwhile.
    """
    known[key] = value
    if len(known) > most:
        for oldest in list(known)[: len(known) - most]:
            known.pop(oldest, None)
