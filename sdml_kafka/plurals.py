"""Counts things in words."""


def counted(count: int, noun: str, many: str | None = None) -> str:
    """Return `1 record`, `0 records` or `1,500 records`; `many` is a plural without a mere s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
