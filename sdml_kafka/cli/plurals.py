"""Counts things in words."""


def counted(count: int, noun: str) -> str:
    """Return `1 record`, `0 records` or `1,500 records`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
